{{- define "zerocap.daemon" -}}{{ .Release.Name }}-node-daemon{{- end -}}

{{- /* The API server's name for the daemon's account. */ -}}
{{- define "zerocap.daemonUser" -}}system:serviceaccount:{{ .Release.Namespace }}:{{ include "zerocap.daemon" . }}{{- end -}}

{{- /* The port of an address, as "[::]:9465" has it. */ -}}
{{- define "zerocap.metricsPort" -}}{{ splitList ":" .Values.daemon.metrics.listen | last }}{{- end -}}
