// Package v1alpha1 holds the resources of consent.codb.dev: what customers
// agreed to, what the platform team demands, what marketers want to do, and
// what codb decided. It is the contract with people at a terminal: it imports
// apimachinery only and knows nothing of clients, clocks or policies' insides.
//
// Rules for every field: the comment says meaning, unit and what absence
// means; absence refuses. Principals are opaque ids; no field holds a name or
// an address of a person.
//
// +kubebuilder:object:generate=true
// +groupName=consent.codb.dev
package v1alpha1
