{{- /* A policy and its binding. root, name, pod (CEL path), resources (rules), actions, when (a condition in CEL), body (validations). */ -}}
{{- define "zerocap.policy" -}}
{{- $values := .root.Values.admission -}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata:
  name: {{ .name }}.zerocap.io
  labels: {{- include "zerocap.labels" .root | nindent 4 }}
spec:
  failurePolicy: {{ $values.failurePolicy }}
  matchConstraints:
    resourceRules: {{- .resources | nindent 6 }}
  matchConditions:
    - name: concerns-zerocap
      expression: >-
        {{ .when | nindent 8 | trim }}
    {{- if eq .pod "object" }}
    # A pod that was admitted stays: controllers that take their finalizers off, and networks that write annotations of their own,
    # must not meet a rule that came later.
    - name: changes-what-is-judged
      expression: >-
        request.operation == 'CREATE'
        || object.metadata.?annotations.orValue({}).exists(k, ({{ include "zerocap.isOurs" . | nindent 8 | trim }})
        && object.metadata.annotations[?k] != oldObject.metadata.?annotations.orValue({})[?k])
        || oldObject.metadata.?annotations.orValue({}).exists(k, ({{ include "zerocap.isOurs" . | nindent 8 | trim }})
        && !(k in object.metadata.?annotations.orValue({})))
        || object.spec.?ephemeralContainers.orValue([]).size() != oldObject.spec.?ephemeralContainers.orValue([]).size()
    {{- end }}
  variables: {{- include "zerocap.variables" . | nindent 4 }}
  validations: {{- .body | nindent 4 }}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ .name }}.zerocap.io
  labels: {{- include "zerocap.labels" .root | nindent 4 }}
spec:
  policyName: {{ .name }}.zerocap.io
  validationActions: [{{ .actions }}]
  matchResources:
    namespaceSelector:
      matchExpressions:
        {{- with $values.exemptNamespaces }}
        - { key: kubernetes.io/metadata.name, operator: NotIn, values: [{{ join ", " . }}] }
        {{- end }}
        {{- with .namespaces }}
        - {{ . }}
        {{- end }}
{{- end -}}

{{- /* Pods whose annotations are ours in any spelling. */ -}}
{{- define "zerocap.annotated" -}}
{{ . }}.?metadata.?annotations.orValue({}).exists(k, {{ include "zerocap.isOurs" . }})
{{- end -}}

{{- /* Whether the key k of an annotation is ours. */ -}}
{{- define "zerocap.isOurs" -}}
k.lowerAscii() == 'network-enforcement'
|| k.lowerAscii().split('/')[0].matches('^(.*[.])?zerocap[.]io$')
{{- end -}}

{{- /* Annotations can be written by way of a pod's status too. */ -}}
{{- define "zerocap.podRules" -}}
- { apiGroups: [""], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [pods, pods/ephemeralcontainers, pods/status] }
{{- end -}}

{{- define "zerocap.workloadRules" -}}
- { apiGroups: [apps], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [deployments, statefulsets, daemonsets, replicasets] }
- { apiGroups: [batch], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [jobs] }
- { apiGroups: [""], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [replicationcontrollers] }
{{- end -}}
