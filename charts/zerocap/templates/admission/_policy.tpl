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
    # A pod that was admitted stays: controllers that take their finalizers off must not meet a rule that came later.
    - name: changes-what-is-judged
      expression: >-
        request.operation == 'CREATE'
        || object.metadata.?annotations.orValue({}) != oldObject.metadata.?annotations.orValue({})
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
{{ . }}.?metadata.?annotations.orValue({}).exists(k, k.lowerAscii() == 'network-enforcement'
|| k.lowerAscii().split('/')[0].matches('^(.*[.])?zerocap[.]io$'))
{{- end -}}

{{- define "zerocap.podRules" -}}
- { apiGroups: [""], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [pods, pods/ephemeralcontainers] }
{{- end -}}

{{- define "zerocap.workloadRules" -}}
- { apiGroups: [apps], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [deployments, statefulsets, daemonsets, replicasets] }
- { apiGroups: [batch], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [jobs] }
{{- end -}}
