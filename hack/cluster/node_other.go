//go:build !linux

package main

import "errors"

// Without Linux there is no node; prepareNode has said so before.

var nodeMounts []string

var errLinux = errors.New("a node needs Linux")

func (c *Cluster) spawnNode() error { return errLinux }
func nodeInit([]string) error       { return errLinux }
func makeCgroups(string) error      { return errLinux }
func removeCgroups(string) error    { return nil }
func onOverlay(string) bool         { return false }
