{{- /*
The annotations of zerocap in CEL. The argument is the CEL path of the pod: "object", or "object.spec.template".
The messages are those of `zerocap explain`, with its codes.
*/ -}}

{{- define "zerocap.knobs" -}}
{{- $names := list -}}
{{- range (.Files.Get "files/grammar.json" | fromJson).knobs -}}{{- $names = append $names (printf "'%s'" .name) -}}{{- end -}}
[{{ join ", " $names }}]
{{- end -}}

{{- /* One key of each knob that has it, as a map in CEL, which reads JSON. */ -}}
{{- define "zerocap.grammar" -}}
{{- $key := .key -}}
{{- $grammar := .root.Files.Get "files/grammar.json" | fromJson -}}
{{- $found := dict -}}
{{- range $grammar.knobs -}}
{{- if hasKey . $key -}}{{- $_ := set $found .name (get . $key) -}}{{- end -}}
{{- end -}}
{{- $text := toJson $found -}}
{{- range $name, $part := $grammar.parts -}}
{{- $text = $text | replace (printf "{%s}" $name) ($part | toJson | trimAll "\"") -}}
{{- end -}}
{{- $text -}}
{{- end -}}

{{- /* The entries of the value of w, and whether e is one as the knob of w has it. */ -}}
{{- define "zerocap.entries" -}}
(w[1] in variables.lists ? w[2].split(',').map(e, e.trim()) : [w[2]])
{{- end -}}

{{- define "zerocap.fits" -}}
variables.forms[?w[1]].orValue([]).exists(f, e.matches(f[0]) && (f[1] == '' || !e.matches(f[1]))
  && (f[2] == '' || [e.substring(e.lastIndexOf(':') + 1).split('-')].exists(p, int(p[0]) <= int(f[2])
    && (p.size() == 1 || (int(p[1]) <= int(f[2]) && int(p[0]) <= int(p[1]) && int(p[1]) - int(p[0]) <= int(f[3]))))))
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
- name: words
  expression: >-
    {{ include "zerocap.grammar" (dict "root" .root "key" "words") }}
- name: forms
  expression: >-
    {{ include "zerocap.grammar" (dict "root" .root "key" "forms") }}
- name: continued
  expression: >-
    {{ include "zerocap.grammar" (dict "root" .root "key" "continued") }}
- name: why
  expression: >-
    {{ include "zerocap.grammar" (dict "root" .root "key" "why") }}
- name: lists
  expression: "{{ include "zerocap.knobsWhere" (dict "root" .root "key" "list" "value" true) }}"
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
# Each as [key, knob, value]. White space around a value means nothing.
- name: written
  expression: >-
    variables.podKeys.map(k, [string(k), k == 'network-enforcement' ? string(k) : k.substring(11), string(variables.annotations[k]).trim()])
    + variables.exceptions.map(k, [string(k), k.substring(0, k.indexOf('.zerocap.io/')), string(variables.annotations[k]).trim()])
- name: tooLarge
  expression: >-
    variables.written.filter(w, variables.annotations[w[0]].size() > 16384
    || (w[1] in variables.lists && !(w[2] in variables.words[?w[1]].orValue([])) && w[2].split(',').size() > 256))
# What is as large as no real pod's is left to the shim: it would cost more than the API server gives a policy.
- name: judged
  expression: >-
    variables.written.map(w, w[2].size()).sum() > 49152 ? variables.written.filter(w, false) : variables.written
- name: bad
  expression: >-
    variables.judged.filter(w, !(w[2] in variables.words[?w[1]].orValue([])) && (
    {{- include "zerocap.entries" . | nindent 4 }}.exists(e, !
    {{- include "zerocap.fits" . | nindent 4 }})
    || (w[1] in variables.continued &&
    {{- include "zerocap.entries" . | nindent 4 }}[0].matches(variables.continued[w[1]]))))
# Of the first of these the entries that are wrong.
- name: wrong
  expression: >-
    variables.bad.size() == 0 ? [] : [variables.bad[0]].map(w,
    {{- include "zerocap.entries" . | nindent 4 }}.filter(e, !
    {{- include "zerocap.fits" . | nindent 4 }}) +
    {{- include "zerocap.entries" . | nindent 4 }})[0]
- name: mode
  expression: >-
    'network-enforcement' in variables.annotations ? variables.annotations['network-enforcement'].trim()
    : variables.annotations[?'zerocap.io/network-enforcement'].optMap(mode, mode.trim()).orValue(
      variables.runtimeClass == '{{ .root.Values.runtimeClasses.platform.name }}' ? 'platform' : '')
- name: platform
  expression: variables.mode == 'platform'
- name: listen
  expression: variables.annotations[?'zerocap.io/listen'].orValue('').split(',').map(p, p.trim())
# A policy of the floor may have another port, which only the node knows.
- name: proxyPort
  expression: >-
    variables.annotations[?'zerocap.io/proxy-port'].orValue('zerocap.io/policy' in variables.annotations ? ''
    : '{{ .root.Values.admission.proxyPort }}').trim()
- name: privileged
  expression: >-
    ({{ .pod }}.spec.containers.filter(c, c.?securityContext.?privileged.orValue(false)).map(c, c.name)
    + {{ .pod }}.spec.?initContainers.orValue([]).filter(c, c.?securityContext.?privileged.orValue(false)).map(c, c.name)
    + {{ .pod }}.spec.?ephemeralContainers.orValue([]).filter(c, c.?securityContext.?privileged.orValue(false)).map(c, c.name))
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
- expression: variables.ours.size() <= 256
  messageExpression: "'ZC0104: the pod has ' + string(variables.ours.size()) + ' annotations of zerocap; write at most 256'"
- expression: variables.tooLarge.size() == 0
  messageExpression: >-
    'ZC0104: annotation "' + variables.tooLarge[0][0] + '" has ' + (variables.annotations[variables.tooLarge[0][0]].size() > 16384
    ? string(variables.annotations[variables.tooLarge[0][0]].size()) + ' bytes; write at most 16384'
    : string(variables.tooLarge[0][2].split(',').size()) + ' entries; write at most 256 entries')
- expression: variables.bad.size() == 0
  messageExpression: >-
    'ZC0102: annotation "' + variables.bad[0][0] + '" ' + (variables.bad[0][1] in variables.lists && variables.wrong[0] == ''
    ? (variables.bad[0][2].contains(',') ? 'has an empty entry' : 'is empty') + '; write a comma-separated list without empty entries'
    : 'has "' + (variables.wrong[0].size() > 120 ? variables.wrong[0].substring(0, 120) + '…' : variables.wrong[0]) + '", '
    + variables.why[variables.bad[0][1]].filter(r, r[0] == '' || variables.wrong[0].matches(r[0]))[0][1] + '; '
    + variables.why[variables.bad[0][1]].filter(r, r[0] == '' || variables.wrong[0].matches(r[0]))[0][2])
- expression: >-
    !('network-enforcement' in variables.annotations && 'zerocap.io/network-enforcement' in variables.annotations)
    || variables.annotations['network-enforcement'].trim().replace('namespace', 'cluster')
    == variables.annotations['zerocap.io/network-enforcement'].trim().replace('namespace', 'cluster')
  message: "ZC0103: annotations network-enforcement and zerocap.io/network-enforcement have different values; keep one of the two"
- expression: >-
    !('zerocap.io/filesystem' in variables.annotations)
    || ['zerocap.io/fs-read', 'zerocap.io/fs-write', 'zerocap.io/fs-execute'].all(k, !(k in variables.annotations))
  message: "ZC0110: annotations \"zerocap.io/filesystem\" and a path list exclude each other; keep filesystem, or the path lists instead of it"
- expression: "!variables.platform || variables.proxyPort == '' || !(variables.proxyPort in variables.listen)"
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
- expression: "!variables.platform || variables.privileged.all(c, variables.annotations[?('network-enforcement.zerocap.io/' + c)].orValue('').trim() in ['cluster', 'namespace'])"
  message: "ZC0305: a container is privileged, which platform mode excludes; remove privileged, or network-enforcement: platform"
{{- end -}}
