package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// Network is the number of a cluster on this machine. Its addresses, its
// interface, its nftables table and its cgroup are all named after it:
//
//	10.N.0.0/22      pods
//	10.N.128.0/20    services
//	10.N.255.0/30    the link between the host (.1) and the node (.2)
type Network int

const firstNetwork, lastNetwork Network = 201, 250

func (n Network) Range() string    { return fmt.Sprintf("10.%d.0.0/16", n) }
func (n Network) Pods() string     { return fmt.Sprintf("10.%d.0.0/22", n) }
func (n Network) Services() string { return fmt.Sprintf("10.%d.128.0/20", n) }
func (n Network) First() string    { return fmt.Sprintf("10.%d.128.1", n) } // the Service "kubernetes"
func (n Network) DNS() string      { return fmt.Sprintf("10.%d.128.10", n) }
func (n Network) Host() string     { return fmt.Sprintf("10.%d.255.1", n) }
func (n Network) NodeIP() string   { return fmt.Sprintf("10.%d.255.2", n) }

// ID names what a cluster has on the host.
func (n Network) ID() string { return fmt.Sprintf("codb%d", n) }

// freeNetwork picks a network that neither another cluster nor an interface or
// a route of this machine uses.
func freeNetwork(others []*Cluster, used []netip.Prefix) (Network, error) {
	taken := map[Network]bool{}
	for _, c := range others {
		taken[c.Network] = true
	}
	for n := firstNetwork; n <= lastNetwork; n++ {
		if !taken[n] && !overlaps(netip.MustParsePrefix(n.Range()), used) {
			return n, nil
		}
	}
	return 0, fmt.Errorf("no network 10.%d-%d.0.0/16 is free; remove clusters (cluster status, cluster down)",
		firstNetwork, lastNetwork)
}

func overlaps(p netip.Prefix, used []netip.Prefix) bool {
	for _, u := range used {
		// A wider route, such as 10.0.0.0/8 of a VPN, loses only the small
		// part that the cluster takes.
		if u.Bits() >= 12 && u.Overlaps(p) {
			return true
		}
	}
	return false
}

// usedPrefixes are the networks of this machine's interfaces and routes.
func usedPrefixes() ([]netip.Prefix, error) {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var used []netip.Prefix
	for _, a := range addresses {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			used = append(used, p.Masked())
		}
	}
	table, err := os.ReadFile("/proc/net/route")
	if err != nil {
		return used, nil // not Linux: no node, so nothing is routed
	}
	return append(used, parseRoutes(string(table))...), nil
}

// parseRoutes reads /proc/net/route, where addresses and masks are hexadecimal
// with the bytes of the machine's order.
func parseRoutes(table string) []netip.Prefix {
	var used []netip.Prefix
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if len(fields) < 8 {
			continue
		}
		destination, err1 := strconv.ParseUint(fields[1], 16, 32)
		mask, err2 := strconv.ParseUint(fields[7], 16, 32)
		if err1 != nil || err2 != nil {
			continue // the heading
		}
		var address [4]byte
		binary.NativeEndian.PutUint32(address[:], uint32(destination))
		used = append(used, netip.PrefixFrom(netip.AddrFrom4(address), bits.OnesCount64(mask)))
	}
	return used
}

// freePorts picks n free ports of the loopback interface, all different.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer l.Close() // after all are chosen, so that none comes twice
		tcp, ok := l.Addr().(*net.TCPAddr)
		if !ok {
			return nil, errors.New("find a free port: no TCP address")
		}
		ports = append(ports, tcp.Port)
	}
	return ports, nil
}

func choosePorts() (Ports, error) {
	p, err := freePorts(6)
	if err != nil {
		return Ports{}, err
	}
	return Ports{p[0], p[1], p[2], p[3], p[4], p[5]}, nil
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
