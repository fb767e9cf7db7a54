{{- /*
The annotations of zerocap in CEL. The argument is the CEL path of the pod: "object", or "object.spec.template".
The messages are those of `zerocap explain`, with its codes.
*/ -}}

{{- define "zerocap.knobs" -}}
{{- $names := list -}}
{{- range (.Files.Get "files/grammar.json" | fromJson).knobs -}}{{- $names = append $names (printf "'%s'" .name) -}}{{- end -}}
[{{ join ", " $names }}]
{{- end -}}

{{- define "zerocap.patterns" -}}
{{- $pairs := list -}}
{{- range (.Files.Get "files/grammar.json" | fromJson).knobs -}}{{- $pairs = append $pairs (printf "'%s': r'%s'" .name .pattern) -}}{{- end -}}
{ {{- join ", " $pairs -}} }
{{- end -}}

{{- define "zerocap.knobsWhere" -}}
{{- $names := list -}}
{{- $key := .key -}}{{- $value := .value -}}
{{- range (.root.Files.Get "files/grammar.json" | fromJson).knobs -}}
{{- if and (hasKey . $key) (eq (get . $key) $value) -}}{{- $names = append $names (printf "'%s'" .name) -}}{{- end -}}
{{- end -}}
[{{ join ", " $names }}]
{{- end -}}

{{- define "zerocap.variables" -}}
{{- $pod := .pod -}}
- name: annotations
  expression: {{ printf "%s.?metadata.?annotations.orValue({})" $pod | quote }}
- name: runtimeClass
  expression: {{ printf "%s.spec.?runtimeClassName.orValue('')" $pod | quote }}
- name: containers
  expression: >-
    {{ $pod }}.spec.containers.map(c, c.name)
    + {{ $pod }}.spec.?initContainers.orValue([]).map(c, c.name)
    + {{ $pod }}.spec.?ephemeralContainers.orValue([]).map(c, c.name)
- name: knobs
  expression: "{{ include "zerocap.knobs" .root }}"
- name: patterns
  expression: {{ include "zerocap.patterns" .root | quote }}
# The keys that are ours, well-formed or not, in any case.
- name: ours
  expression: >-
    variables.annotations.filter(k, k.lowerAscii() == 'network-enforcement'
    || k.lowerAscii().split('/')[0].matches('^(.*[.])?zerocap[.]io$'))
# Well-formed ones: for the pod, and for one container.
- name: podKeys
  expression: >-
    variables.ours.filter(k, k == 'network-enforcement'
    || (k.startsWith('zerocap.io/') && k.substring(11) in variables.knobs))
- name: exceptions
  expression: >-
    variables.ours.filter(k, k.contains('.zerocap.io/')
    && k.substring(0, k.indexOf('.zerocap.io/')) in variables.knobs)
- name: unknown
  expression: >-
    variables.ours.filter(k, !(k in variables.podKeys) && !(k in variables.exceptions))
# The word in an unknown key that should have been a knob, as `zerocap explain` compares it, and the knobs one slip away: a
# letter too many, too few, another or two exchanged, dashes forgotten.
- name: word
  expression: >-
    variables.unknown.size() == 0 ? '' : (variables.unknown[0].lowerAscii().startsWith('zerocap.io/')
    ? variables.unknown[0].substring(11) : variables.unknown[0].split('.zerocap.io/')[0]
    ).lowerAscii().replace('_', '-').replace(' ', '-')
- name: near
  expression: >-
    variables.word.size() > 40 ? [] : variables.knobs.filter(k,
    k.replace('-', '') == variables.word.replace('-', '')
    || [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19].exists(i,
      (k.size() == variables.word.size() && i < k.size()
        && k.substring(0, i) == variables.word.substring(0, i)
        && (k.substring(i + 1) == variables.word.substring(i + 1)
          || (i + 2 <= k.size() && k.substring(i + 2) == variables.word.substring(i + 2))))
      || (k.size() + 1 == variables.word.size() && i < variables.word.size()
        && variables.word.substring(0, i) + variables.word.substring(i + 1) == k)
      || (k.size() == variables.word.size() + 1 && i < k.size()
        && k.substring(0, i) + k.substring(i + 1) == variables.word)))
- name: badValues
  expression: >-
    variables.podKeys.filter(k, !variables.annotations[k].matches(
      variables.patterns[k == 'network-enforcement' ? k : k.substring(11)]))
    + variables.exceptions.filter(k, !variables.annotations[k].matches(
      variables.patterns[k.substring(0, k.indexOf('.zerocap.io/'))]))
- name: mode
  expression: >-
    'network-enforcement' in variables.annotations ? variables.annotations['network-enforcement']
    : variables.annotations[?'zerocap.io/network-enforcement'].orValue(
      variables.runtimeClass == '{{ .root.Values.runtimeClasses.platform.name }}' ? 'platform' : '')
- name: platform
  expression: variables.mode == 'platform'
- name: listen
  expression: variables.annotations[?'zerocap.io/listen'].orValue('').split(',').map(p, p.trim())
- name: proxyPort
  expression: variables.annotations[?'zerocap.io/proxy-port'].orValue('3128')
{{- end -}}

{{- define "zerocap.validations" -}}
{{- $pod := .pod -}}
- expression: variables.unknown.all(k, !k.matches('^[^/]*zerocap[.]io/$'))
  messageExpression: >-
    'ZC0108: annotation "' + variables.unknown.filter(k, k.matches('^[^/]*zerocap[.]io/$'))[0]
    + '" names no knob or no container; write zerocap.io/KNOB for the pod or KNOB.zerocap.io/CONTAINER for one container'
- expression: variables.unknown.size() == 0
  messageExpression: >-
    'ZC0101: annotation "' + variables.unknown[0] + '" is not one that zerocap knows; '
    + (variables.near.size() == 0 ? 'remove it; there are: ' + variables.knobs.join(', ')
    : 'did you mean ' + (variables.near[0] == 'network-enforcement' && !variables.unknown[0].contains('/') ? 'network-enforcement'
    : variables.unknown[0].lowerAscii().startsWith('zerocap.io/') ? 'zerocap.io/' + variables.near[0]
    : variables.near[0] + '.zerocap.io/CONTAINER') + '?')
- expression: variables.exceptions.all(k, k.substring(k.indexOf('.zerocap.io/') + 12) in variables.containers)
  messageExpression: >-
    'ZC0108: annotation "' + variables.exceptions.filter(k, !(k.substring(k.indexOf('.zerocap.io/') + 12) in variables.containers))[0]
    + '" names a container that the pod does not have; write one of ' + variables.containers.join(', ')
- expression: variables.badValues.size() == 0
  messageExpression: >-
    'ZC0102: annotation "' + variables.badValues[0] + '" has "' + variables.annotations[variables.badValues[0]]
    + '", which is none of its values; zerocap explain ZC0102 says more'
- expression: >-
    !('network-enforcement' in variables.annotations && 'zerocap.io/network-enforcement' in variables.annotations)
    || variables.annotations['network-enforcement'].replace('namespace', 'cluster')
    == variables.annotations['zerocap.io/network-enforcement'].replace('namespace', 'cluster')
  message: "ZC0103: annotations network-enforcement and zerocap.io/network-enforcement have different values; keep one of the two"
- expression: >-
    !('zerocap.io/filesystem' in variables.annotations)
    || ['zerocap.io/fs-read', 'zerocap.io/fs-write', 'zerocap.io/fs-execute'].all(k, !(k in variables.annotations))
  message: "ZC0110: annotations \"zerocap.io/filesystem\" and a path list exclude each other; keep filesystem, or the path lists instead of it"
- expression: "!variables.platform || !(variables.proxyPort in variables.listen)"
  messageExpression: >-
    'ZC0110: listen has ' + variables.proxyPort + ', which is the proxy\'s port; remove it from listen: a workload that takes the '
    + 'proxy\'s port could pose as the proxy'
# Without an annotation for the mode the node's floor may still set it: that is the shim's to judge.
- expression: >-
    !(variables.mode in ['cluster', 'namespace'])
    || {{ include "zerocap.knobsWhere" (dict "root" .root "key" "platform" "value" true) }}.all(k, !(('zerocap.io/' + k) in variables.annotations))
  message: "ZC0111: proxy-port, egress and listen have a meaning in platform mode only; add network-enforcement: platform, or remove them"
- expression: >-
    variables.exceptions.all(k, !(k.substring(0, k.indexOf('.zerocap.io/')) in {{ include "zerocap.knobsWhere" (dict "root" .root "key" "exceptions" "value" false) }}))
  messageExpression: >-
    'ZC0107: annotation "' + variables.exceptions.filter(k, k.substring(0, k.indexOf('.zerocap.io/')) in {{ include "zerocap.knobsWhere" (dict "root" .root "key" "exceptions" "value" false) }})[0]
    + '" excepts a container from a knob whose values have no order; write it for the whole pod'
- expression: "!variables.platform || !{{ $pod }}.spec.?hostNetwork.orValue(false)"
  message: "ZC0304: the pod has hostNetwork, which platform mode excludes; remove hostNetwork, or network-enforcement: platform"
- expression: "!variables.platform || !{{ $pod }}.spec.?hostPID.orValue(false)"
  message: "ZC0312: the pod has hostPID, which platform mode excludes; remove hostPID, or network-enforcement: platform"
- expression: >-
    !variables.platform || ({{ $pod }}.spec.containers.all(c, !c.?securityContext.?privileged.orValue(false))
    && {{ $pod }}.spec.?initContainers.orValue([]).all(c, !c.?securityContext.?privileged.orValue(false)))
  message: "ZC0305: a container is privileged, which platform mode excludes; remove privileged, or network-enforcement: platform"
{{- end -}}
