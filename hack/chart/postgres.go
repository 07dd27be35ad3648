package main

// What differs where PostgreSQL keeps the ledger, or consents: the values name a
// Secret each.
const (
	ledger    = ".Values.postgres.ledger"
	notLedger = "not " + ledger
	consents  = ".Values.postgres.consents"
	port      = "  - ports:\n    - port: {{ .Values.postgres.port }}\n      protocol: TCP\n"
)

const (
	consentsArgument = "        - --consents-file=/etc/codb/consents/url\n"
	consentsMount    = "        - mountPath: /etc/codb/consents\n          name: consents\n          readOnly: true\n"
	consentsVolume   = "      - name: consents\n        secret:\n          defaultMode: 288\n          secretName: {{ " + consents + " | quote }}\n"
	ledgerVolume     = "      - name: ledger\n        secret:\n          defaultMode: 288\n          secretName: {{ " + ledger + " | quote }}\n"
	ledgerMount      = "        - mountPath: /etc/codb/ledger\n          name: ledger\n          readOnly: true\n"
)

// inPostgreSQL are places that those values fill in, like texts.
var inPostgreSQL = map[string]string{
	"  - expression: \"false\"\n    name: elsewhere\n": "  - expression: {{ ne " + consents + " \"\" | quote }}\n    name: elsewhere\n",

	"  - ports:\n    - port: 5432\n      protocol: TCP\n": port,
	shortName: only("not "+consents, shortName),

	// The gate.
	retention:   only(notLedger, retention),
	oneGate:     "  replicas: {{ if " + ledger + " }}{{ .Values.gate.replicas }}{{ else }}1{{ end }}\n",
	dataFolder:  either(ledger, "        - --ledger-file=/etc/codb/ledger/url\n", dataFolder),
	dataMount:   either(ledger, ledgerMount, dataMount) + only(consents, consentsMount),
	gateEnd:     only(consents, consentsArgument) + gateEnd,
	claim:       only("or "+consents+" "+ledger, "      volumes:\n") + only(consents, consentsVolume) + only(ledger, ledgerVolume) + only(notLedger, claim),
	gateEgress:  gateEgress[:len(gateEgress)-len(ingress)] + only(ledger, port) + only(consents, port) + ingress,
	operatorEnd: only(consents, consentsArgument) + operatorEnd,

	// The operator.
	tokenMount:     tokenMount + only(consents, consentsMount),
	tokenVolume:    tokenVolume + only(consents, consentsVolume),
	operatorEgress: operatorEgress[:len(operatorEgress)-len(ingress)] + only(consents, port) + ingress,
}

// The places, as they are without values.
const (
	shortName   = "    shortNames:\n    - cc\n"
	retention   = "  persistentVolumeClaimRetentionPolicy:\n    whenDeleted: Retain\n    whenScaled: Retain\n"
	oneGate     = "  replicas: 1\n"
	dataFolder  = "        - --data=/var/lib/codb\n"
	dataMount   = "        - mountPath: /var/lib/codb\n          name: ledger\n"
	gateEnd     = "        image: {{ .Values.image.reference | quote }}\n        imagePullPolicy: {{ .Values.image.pullPolicy }}\n        livenessProbe:\n          httpGet:\n            path: /livez\n            port: probes\n          periodSeconds: 10\n          timeoutSeconds: 5\n        name: gate\n"
	claim       = "  volumeClaimTemplates:\n  - metadata:\n      name: ledger\n    spec: {{ toYaml .Values.gate.volume | nindent 6 }}\n"
	ingress     = "  ingress:\n"
	gateEgress  = "    - port: 6443\n      protocol: TCP\n" + ingress
	operatorEnd = "        image: {{ .Values.image.reference | quote }}\n        imagePullPolicy: {{ .Values.image.pullPolicy }}\n        livenessProbe:\n          httpGet:\n            path: /livez\n            port: probes\n          periodSeconds: 10\n          timeoutSeconds: 5\n        name: operator\n"

	tokenMount     = "        - mountPath: /var/run/secrets/codb-gate\n          name: gate-token\n          readOnly: true\n"
	tokenVolume    = "              audience: codb-gate\n              expirationSeconds: 3600\n              path: token\n"
	operatorEgress = "          app.kubernetes.io/name: codb-gate\n" + ingress
)

func either(condition, text, other string) string {
	return "{{- if " + condition + " }}\n" + text + "{{- else }}\n" + other + "{{- end }}\n"
}
