package admission_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// A field of a campaign's pod is allowed for a reason, or refused, which is
// tried: the values are pieces of a pod's spec, or of its first container's or
// volume's, with ' for " and what the pod needs besides under pod.
type field struct {
	allowed string
	refused []string
	by      string // who refuses, if not campaign-templates
}

func ok(why string) field               { return field{allowed: why} }
func refused(attempts ...string) field  { return field{refused: attempts} }
func impossible(attempt string) field   { return field{refused: []string{attempt}, by: "the apiserver"} }
func bounded(why, attempt string) field { return field{allowed: why, refused: []string{attempt}} }

const (
	inside   = "it stays inside of the container"
	itself   = "a pod may ask less of the node than it could"
	schedule = "where a pod runs, not what it may; nodes are kept for others by taints"
	network  = "the pod's own name and resolver"
	ownFiles = "what the namespace has, whose people write the campaign"
	account  = "of the namespace's default account, which has no rights that nobody gave it"
	driver   = "a driver that the platform team has put on the node decides what it mounts"
)

// fields are all of those that Kubernetes 1.37 serves.
var fields = map[string]map[string]field{
	"PodSpec": {
		"volumes": ok("by kind, see VolumeSource"), "containers": ok("see Container"), "initContainers": bounded("as containers", `{'initContainers':[{'name':'i','image':'i','securityContext':{'privileged':true}}]}`),
		"ephemeralContainers":   impossible(`{'ephemeralContainers':[{'name':'e','image':'e'}]}`),
		"restartPolicy":         ok("a Job's backoffLimit counts restarts; at most 6"),
		"activeDeadlineSeconds": ok("it ends sooner"), "terminationGracePeriodSeconds": bounded("at most 30: pods must stop soon", `{'terminationGracePeriodSeconds':31}`),
		"serviceAccountName": refused(`{'serviceAccountName':'billing'}`), "serviceAccount": refused(`{'serviceAccount':'billing'}`),
		"automountServiceAccountToken": ok(account), "imagePullSecrets": ok(ownFiles),
		"nodeName": refused(`{'nodeName':'one'}`), "nodeSelector": ok(schedule), "affinity": ok(schedule), "tolerations": ok(schedule),
		"topologySpreadConstraints": ok(schedule), "schedulerName": ok(schedule), "schedulingGates": ok("it starts later"), "schedulingGroup": ok(schedule),
		"readinessGates": ok("nothing waits for a campaign's pod"), "evictionResponders": ok("they are asked at an eviction; a hold deletes"),
		"priorityClassName": bounded("but those of the system itself, which may push codb off its node", `{'priorityClassName':'system-cluster-critical'}`),
		"priority":          ok("set from the class"), "preemptionPolicy": ok("set from the class"), "overhead": ok("set from the runtime class"),
		"runtimeClassName": ok("the platform team decides which there are"), "resourceClaims": ok("devices that the platform team shares"), "resources": ok("quotas bound it"),
		"hostNetwork": refused(`{'hostNetwork':true}`), "hostPID": refused(`{'hostPID':true}`), "hostIPC": refused(`{'hostIPC':true}`),
		"hostUsers": ok(itself), "shareProcessNamespace": ok("the pod's own processes"), "os": ok("what the image is made for"),
		"hostAliases": ok(network), "hostname": ok(network), "hostnameOverride": ok(network), "subdomain": ok(network), "setHostnameAsFQDN": ok(network),
		"dnsPolicy": ok(network), "dnsConfig": ok(network), "enableServiceLinks": ok(network),
		"securityContext": ok("see PodSecurityContext"),
	},
	"Container": {
		"name": ok(inside), "image": ok("codb can't know what is in it: see the threat model; pin digests"), "imagePullPolicy": ok("the same image"),
		"command": ok(inside), "args": ok(inside), "workingDir": ok(inside), "env": ok(ownFiles), "envFrom": ok(ownFiles),
		"ports":     bounded("the pod's own", `{'ports':[{'containerPort':80,'hostPort':80}]}`),
		"resources": ok("quotas bound it"), "resizePolicy": ok("quotas bound it"),
		"restartPolicy":      refused(`{'restartPolicy':'Always'}`, `{'restartPolicy':'OnFailure'}`),
		"restartPolicyRules": refused(`{'restartPolicy':'Never','restartPolicyRules':[{'action':'Restart','exitCodes':{'operator':'In','values':[7]}}]}`),
		"volumeMounts":       ok("of volumes that are allowed"), "volumeDevices": ok("of claims"),
		"livenessProbe": ok(inside), "readinessProbe": ok(inside), "startupProbe": ok(inside), "lifecycle": ok("its time to stop is a part of the grace period"),
		"terminationMessagePath": ok(inside), "terminationMessagePolicy": ok(inside), "stdin": ok(inside), "stdinOnce": ok(inside), "tty": ok(inside),
		"securityContext": ok("see SecurityContext"),
	},
	"PodSecurityContext": {
		"seLinuxOptions": refused(`{'securityContext':{'seLinuxOptions':{'type':'spc_t'}}}`), "seLinuxChangePolicy": ok("labels of the pod's own volumes"),
		"seccompProfile":  bounded("but Unconfined", `{'securityContext':{'seccompProfile':{'type':'Unconfined'}}}`),
		"appArmorProfile": bounded("but Unconfined", `{'securityContext':{'appArmorProfile':{'type':'Unconfined'}}}`),
		"sysctls":         refused(`{'securityContext':{'sysctls':[{'name':'kernel.msgmax','value':'65536'}]}}`),
		"windowsOptions":  bounded("but hostProcess", `{'hostNetwork':true,'securityContext':{'windowsOptions':{'hostProcess':true}}}`),
		"runAsUser":       ok("root in a container has no capability added"), "runAsGroup": ok(inside), "runAsNonRoot": ok(itself),
		"supplementalGroups": ok(inside), "supplementalGroupsPolicy": ok(inside), "fsGroup": ok("of the pod's own volumes"), "fsGroupChangePolicy": ok("of the pod's own volumes"),
	},
	"SecurityContext": {
		"privileged":               refused(`{'securityContext':{'privileged':true}}`),
		"allowPrivilegeEscalation": refused(`{'securityContext':{'allowPrivilegeEscalation':true}}`),
		"capabilities":             bounded("to drop", `{'securityContext':{'capabilities':{'add':['NET_ADMIN']}}}`),
		"procMount":                bounded("the usual one", `{'pod':{'hostUsers':false},'securityContext':{'procMount':'Unmasked'}}`),
		"seLinuxOptions":           refused(`{'securityContext':{'seLinuxOptions':{'type':'spc_t'}}}`),
		"seccompProfile":           bounded("but Unconfined", `{'securityContext':{'seccompProfile':{'type':'Unconfined'}}}`),
		"appArmorProfile":          bounded("but Unconfined", `{'securityContext':{'appArmorProfile':{'type':'Unconfined'}}}`),
		"windowsOptions":           bounded("but hostProcess", `{'pod':{'hostNetwork':true},'securityContext':{'windowsOptions':{'hostProcess':true}}}`),
		"runAsUser":                ok("root in a container has no capability added"), "runAsGroup": ok(inside), "runAsNonRoot": ok(itself), "readOnlyRootFilesystem": ok(itself),
	},
	"Volume": {
		"name": ok(inside), "emptyDir": ok("the pod's own"), "configMap": ok(ownFiles), "secret": ok(ownFiles), "projected": ok("see VolumeProjection"),
		"downwardAPI": ok("the pod's own"), "persistentVolumeClaim": ok(ownFiles), "ephemeral": ok("a claim"), "csi": ok(driver), "image": ok("as the container's image"),
		"hostPath": refused(`{'hostPath':{'path':'/'}}`), "gitRepo": refused(`{'gitRepo':{'repository':'x'}}`), "flexVolume": refused(`{'flexVolume':{'driver':'acme/x'}}`),
		"nfs": refused(`{'nfs':{'server':'x','path':'/'}}`), "iscsi": refused(`{'iscsi':{'targetPortal':'x','iqn':'iqn.2001-04.example:x','lun':0}}`),
		"fc": refused(`{'fc':{'targetWWNs':['x'],'lun':0}}`), "rbd": refused(`{'rbd':{'monitors':['x'],'image':'x'}}`), "cephfs": refused(`{'cephfs':{'monitors':['x']}}`),
		"glusterfs": refused(`{'glusterfs':{'endpoints':'x','path':'x'}}`), "quobyte": refused(`{'quobyte':{'registry':'x:1','volume':'x'}}`),
		"flocker": refused(`{'flocker':{'datasetName':'x'}}`), "cinder": refused(`{'cinder':{'volumeID':'x'}}`), "scaleIO": refused(`{'scaleIO':{'gateway':'x','system':'x','volumeName':'x','secretRef':{'name':'x'}}}`),
		"storageos": refused(`{'storageos':{'volumeName':'x'}}`), "portworxVolume": refused(`{'portworxVolume':{'volumeID':'x'}}`), "photonPersistentDisk": refused(`{'photonPersistentDisk':{'pdID':'x'}}`),
		"gcePersistentDisk": refused(`{'gcePersistentDisk':{'pdName':'x'}}`), "awsElasticBlockStore": refused(`{'awsElasticBlockStore':{'volumeID':'x'}}`),
		"azureDisk": refused(`{'azureDisk':{'diskName':'x','diskURI':'https://x.blob.core.windows.net/x/x.vhd'}}`), "azureFile": refused(`{'azureFile':{'secretName':'x','shareName':'x'}}`), "vsphereVolume": refused(`{'vsphereVolume':{'volumePath':'x'}}`),
	},
	"VolumeProjection": {
		"secret": ok(ownFiles), "configMap": ok(ownFiles), "downwardAPI": ok("the pod's own"),
		"serviceAccountToken": ok(account), "podCertificate": ok("a signer decides, of the default account"), "clusterTrustBundle": ok("public"),
	},
	"EnvVarSource": {
		"fieldRef": ok("the pod's own"), "resourceFieldRef": ok("the pod's own"), "configMapKeyRef": ok(ownFiles), "secretKeyRef": ok(ownFiles), "fileKeyRef": ok("the pod's own"),
	},
}

// within says where in a pod's spec the pieces go.
var within = map[string]func(pod, piece map[string]any){
	"PodSpec":            maps.Copy[map[string]any, map[string]any],
	"PodSecurityContext": maps.Copy[map[string]any, map[string]any],
	"Container":          intoContainer,
	"SecurityContext":    intoContainer,
	"Volume": func(pod, piece map[string]any) {
		piece["name"] = "v"
		pod["volumes"] = []any{piece}
	},
}

func intoContainer(pod, piece map[string]any) {
	maps.Copy(pod["containers"].([]any)[0].(map[string]any), piece)
}

// A field that a newer Kubernetes serves and nobody has thought about fails
// here: say in fields why it is allowed, or refuse it in campaign-templates.
func TestEveryFieldOfAPodIsThoughtOf(t *testing.T) {
	d, err := discovery.NewDiscoveryClientForConfig(env.Config)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := d.RESTClient().Get().AbsPath("/openapi/v3/apis/batch/v1").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var api struct {
		Components struct {
			Schemas map[string]struct{ Properties map[string]any }
		}
	}
	if err := json.Unmarshal(raw, &api); err != nil {
		t.Fatal(err)
	}
	ns := env.EnforcedNamespace(t)
	for kind, known := range fields {
		served := api.Components.Schemas["io.k8s.api.core.v1."+kind].Properties
		if len(served) == 0 {
			t.Fatalf("the apiserver has no %s", kind)
		}
		for name := range served {
			if f := known[name]; f.allowed == "" && len(f.refused) == 0 {
				t.Errorf("%s.%s: nobody has thought of it", kind, name)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(known)) {
			if _, there := served[name]; !there {
				t.Logf("%s.%s: this Kubernetes does not serve it", kind, name)
				continue
			}
			for _, piece := range known[name].refused {
				t.Run(kind+"."+name, func(t *testing.T) { tryField(t, ns, kind, piece, known[name].by) })
			}
		}
	}
}

// tryField makes a Job with the piece in its pod; it must be refused.
func tryField(t *testing.T, ns, kind, piece, by string) {
	var change map[string]any
	if err := json.Unmarshal([]byte(strings.ReplaceAll(piece, "'", `"`)), &change); err != nil {
		t.Fatalf("%s: %v", piece, err)
	}
	o, err := runtime.DefaultUnstructuredConverter.ToUnstructured(job(ns, "new"))
	if err != nil {
		t.Fatal(err)
	}
	u := &unstructured.Unstructured{Object: o}
	u.SetAPIVersion("batch/v1")
	u.SetKind("Job")
	pod := u.Object["spec"].(map[string]any)["template"].(map[string]any)["spec"].(map[string]any)
	if needs, ok := change["pod"].(map[string]any); ok {
		maps.Copy(pod, needs)
		delete(change, "pod")
	}
	within[kind](pod, change)
	err = root.client(t).Create(t.Context(), u, client.DryRunAll)
	switch {
	case err == nil:
		t.Errorf("%s was accepted", piece)
	case by == "" && !strings.Contains(err.Error(), "ValidatingAdmissionPolicy 'campaign-templates.consent.codb.dev'"):
		t.Errorf("%s: refused by somebody else: %v", piece, err)
	default:
		refusals = append(refusals, err.Error())
	}
}
