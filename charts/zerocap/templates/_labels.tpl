{{- define "zerocap.labels" -}}
app.kubernetes.io/name: zerocap
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{- /* Settings that cannot both be meant end the rendering with a sentence. */ -}}
{{- define "zerocap.check" -}}
{{- with .Values.runtimeClasses -}}
{{- if eq .annotated.name .platform.name -}}
{{- fail (printf "runtimeClasses.annotated.name and runtimeClasses.platform.name are both %q: give the two classes different names" .platform.name) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.admission.setRuntimeClass (not .Values.admission.enabled) -}}
{{- fail "admission.setRuntimeClass needs admission.enabled: set both, or neither" -}}
{{- end -}}
{{- if and .Values.admission.setRuntimeClass (not (.Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy")) -}}
{{- fail "admission.setRuntimeClass needs a cluster with MutatingAdmissionPolicy (admissionregistration.k8s.io/v1, Kubernetes 1.36): leave it false" -}}
{{- end -}}
{{- if and .Values.admission.setRuntimeClass (not .Values.runtimeClasses.create) -}}
{{- fail "admission.setRuntimeClass names a RuntimeClass that runtimeClasses.create: false does not make: set create, or leave setRuntimeClass false" -}}
{{- end -}}
{{- with .Values.daemon.metrics -}}
{{- if and (not .listen) (or .certificateSecret .from .serviceMonitor) -}}
{{- fail "daemon.metrics has settings for numbers that nobody serves: set daemon.metrics.listen, for example \"[::]:9465\"" -}}
{{- end -}}
{{- if and .serviceMonitor (not .certificateSecret) -}}
{{- fail "daemon.metrics.serviceMonitor has Prometheus show its token to whoever answers, and a self-made certificate says nothing of who that is: set daemon.metrics.certificateSecret" -}}
{{- end -}}
{{- if and .listen (not $.Values.daemon.enabled) -}}
{{- fail "daemon.metrics.listen needs daemon.enabled: it is the node daemon that serves the numbers" -}}
{{- end -}}
{{- end -}}
{{- with .Values.installer -}}
{{- if and .enabled (not $.Values.image.repository) -}}
{{- fail "installer.enabled needs image.repository: `make image` writes the image, push it to a registry of yours and name it" -}}
{{- end -}}
{{- if and (eq .action "uninstall") (not .enabled) -}}
{{- fail "installer.action: uninstall does nothing without installer.enabled: the pods that uninstall are the installer's" -}}
{{- end -}}
{{- if and .startupTaint (not (and .enabled .selfTest $.Values.daemon.enabled $.Values.daemon.labels)) -}}
{{- fail "installer.startupTaint would stay on every node: it is taken off by the node daemon after the self-test: set installer.enabled, installer.selfTest, daemon.enabled and daemon.labels" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* The Leases by which nodes take turns: so many may restart containerd at once. */ -}}
{{- define "zerocap.leases" -}}
{{- $names := list -}}
{{- range $at := until (int .Values.installer.maxUnavailable) -}}
{{- $names = append $names (printf "%s-installer-%d" $.Release.Name $at) -}}
{{- end -}}
{{- $names | toJson -}}
{{- end -}}

{{- /* What our DaemonSets tolerate: what the values say, and always the taint that only they can take off. root, tolerations. */ -}}
{{- define "zerocap.tolerations" -}}
{{- $all := .tolerations | default list -}}
{{- with .root.Values.installer.startupTaint -}}{{- $all = append $all (dict "key" . "operator" "Exists") -}}{{- end -}}
{{- $all | toJson -}}
{{- end -}}

{{- /* Whether the nodes that have the shim carry a label: somebody tests them, and somebody labels them. */ -}}
{{- define "zerocap.labelled" -}}
{{- if and .Values.installer.enabled .Values.installer.selfTest (dig "daemon" "enabled" false .Values.AsMap) -}}yes{{- end -}}
{{- end -}}
