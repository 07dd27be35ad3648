package main

import (
	"fmt"
	"strings"
)

// controlPlane is etcd and the Kubernetes servers on the host, in the order in
// which they start.
func (c *Cluster) controlPlane() []component {
	all := []component{c.etcd(), c.apiserver(), c.controllerManager()}
	if c.Node {
		all = append(all, c.scheduler())
	}
	return all
}

// etcd listens with certificates even though it listens on loopback only:
// other users of the machine are there, too.
func (c *Cluster) etcd() component {
	client := "https://" + loopback(c.Ports.EtcdClient)
	peer := "https://" + loopback(c.Ports.EtcdPeer)
	health := "http://" + loopback(c.Ports.EtcdHealth)
	argv := []string{
		c.assets + "/etcd",
		"--name=" + c.Name,
		"--data-dir=" + c.path("etcd"),
		"--listen-client-urls=" + client,
		"--advertise-client-urls=" + client,
		"--listen-peer-urls=" + peer,
		"--initial-advertise-peer-urls=" + peer,
		"--initial-cluster=" + c.Name + "=" + peer,
		"--listen-metrics-urls=" + health,
		"--client-cert-auth", "--trusted-ca-file=" + c.pki("etcd-ca.crt"),
		"--cert-file=" + c.pki("etcd.crt"), "--key-file=" + c.pki("etcd.key"),
		"--peer-client-cert-auth", "--peer-trusted-ca-file=" + c.pki("etcd-ca.crt"),
		"--peer-cert-file=" + c.pki("etcd.crt"), "--peer-key-file=" + c.pki("etcd.key"),
		"--quota-backend-bytes=8589934592",
		"--log-level=warn",
	}
	if !c.Fsync {
		// Survives kill -9 of any process, which tests do, but not a power cut.
		argv = append(argv, "--unsafe-no-fsync")
	}
	return component{name: "etcd", ready: health + "/health", argv: argv}
}

func (c *Cluster) apiserver() component {
	argv := []string{
		c.assets + "/kube-apiserver",
		"--bind-address=" + c.address(),
		"--advertise-address=" + c.address(),
		fmt.Sprintf("--secure-port=%d", c.Ports.APIServer),
		"--service-cluster-ip-range=" + c.Network.Services(),
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--etcd-servers=https://" + loopback(c.Ports.EtcdClient),
		"--etcd-cafile=" + c.pki("etcd-ca.crt"),
		"--etcd-certfile=" + c.pki("etcd.crt"),
		"--etcd-keyfile=" + c.pki("etcd.key"),
		"--tls-cert-file=" + c.pki("apiserver.crt"),
		"--tls-private-key-file=" + c.pki("apiserver.key"),
		"--client-ca-file=" + c.pki("ca.crt"),
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + c.pki("service-account.key"),
		"--service-account-signing-key-file=" + c.pki("service-account.key"),
		"--proxy-client-cert-file=" + c.pki("front-proxy-client.crt"),
		"--proxy-client-key-file=" + c.pki("front-proxy-client.key"),
		"--requestheader-client-ca-file=" + c.pki("front-proxy-ca.crt"),
		"--requestheader-allowed-names=front-proxy-client",
		"--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--kubelet-certificate-authority=" + c.pki("ca.crt"),
		"--kubelet-client-certificate=" + c.pki("apiserver-kubelet-client.crt"),
		"--kubelet-client-key=" + c.pki("apiserver-kubelet-client.key"),
		"--kubelet-preferred-address-types=InternalIP",
	}
	if !c.Node {
		// A loopback address cannot be an endpoint of the Service "kubernetes",
		// and no pod is there to use it.
		argv = append(argv, "--endpoint-reconciler-type=none")
	}
	if c.Audit {
		argv = append(argv, "--audit-policy-file="+c.path("audit-policy.yaml"), "--audit-log-path="+c.logFile("audit"))
	}
	argv = append(argv, c.gates()...)
	return component{name: "kube-apiserver", ready: c.server() + "/readyz", argv: append(argv, c.APIServerArgs...)}
}

func (c *Cluster) controllerManager() component {
	config := c.kubeconfig("kube-controller-manager")
	return component{name: "kube-controller-manager",
		ready: "https://" + loopback(c.Ports.ControllerManager) + "/healthz",
		argv: append([]string{
			c.assets + "/kube-controller-manager",
			"--bind-address=127.0.0.1",
			fmt.Sprintf("--secure-port=%d", c.Ports.ControllerManager),
			"--kubeconfig=" + config,
			"--authentication-kubeconfig=" + config,
			"--authorization-kubeconfig=" + config,
			"--leader-elect=false",                       // it is alone, and so starts at once
			"--kube-api-qps=200", "--kube-api-burst=200", // at the default of 20 it is the slowest part of up
			"--use-service-account-credentials",
			"--service-account-private-key-file=" + c.pki("service-account.key"),
			"--root-ca-file=" + c.pki("ca.crt"),
			"--cluster-signing-cert-file=" + c.pki("ca.crt"),
			"--cluster-signing-key-file=" + c.pki("ca.key"),
		}, c.gates()...)}
}

func (c *Cluster) scheduler() component {
	config := c.kubeconfig("kube-scheduler")
	return component{name: "kube-scheduler",
		ready: "https://" + loopback(c.Ports.Scheduler) + "/healthz",
		argv: append([]string{
			c.assets + "/kube-scheduler",
			"--bind-address=127.0.0.1",
			fmt.Sprintf("--secure-port=%d", c.Ports.Scheduler),
			"--kubeconfig=" + config,
			"--authentication-kubeconfig=" + config,
			"--authorization-kubeconfig=" + config,
			"--leader-elect=false",
		}, c.gates()...)}
}

func (c *Cluster) gates() []string {
	if len(c.FeatureGates) == 0 {
		return nil
	}
	return []string{"--feature-gates=" + strings.Join(c.FeatureGates, ",")}
}

func (c *Cluster) pki(file string) string { return c.path("pki", file) }
