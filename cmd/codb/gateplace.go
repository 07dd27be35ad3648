package main

import (
	"cmp"
	"context"
	"fmt"
	"net"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/codb-dev/codb/api/v1alpha1"
)

// gatePlace knows where clients find the gate.
type gatePlace struct {
	client  client.Reader
	o       gateOptions
	listens string
}

func (p gatePlace) url(ctx context.Context) (string, error) {
	if p.o.url != "" || p.o.service == "" {
		return cmp.Or(p.o.url, p.listens), nil
	}
	ip, err := p.clusterIP(ctx)
	if err != nil {
		return "", err
	}
	return "https://" + net.JoinHostPort(ip, "443"), nil // not its name: whoever imports from outside has no cluster DNS
}

// names include this machine's, for kubectl port-forward.
func (p gatePlace) names(ctx context.Context) ([]string, error) {
	names := append([]string{"localhost", "127.0.0.1"}, p.o.hosts...)
	if p.o.service == "" {
		return names, nil
	}
	ip, err := p.clusterIP(ctx)
	name := p.o.service + "." + v1alpha1.SystemNamespace
	return append(names, ip, p.o.service, name, name+".svc"), err
}

func (p gatePlace) clusterIP(ctx context.Context) (string, error) {
	var service corev1.Service
	if err := p.client.Get(ctx, types.NamespacedName{Namespace: v1alpha1.SystemNamespace, Name: p.o.service}, &service); err != nil {
		return "", fmt.Errorf("find the gate's Service: %w", err)
	}
	if net.ParseIP(service.Spec.ClusterIP) == nil {
		return "", fmt.Errorf("find the Service %s/%s: it has no cluster IP; give --url instead", v1alpha1.SystemNamespace, p.o.service)
	}
	return service.Spec.ClusterIP, nil
}
