// Package policy says what CampaignPolicies answer for a customer; it does not
// know who the customer is, where the answer goes, or what a cluster is. It is
// the only importer of OPA.
//
// A policy is written by people whom codb does not trust with its process, so
// there are three walls, each of which holds without the others:
//
//   - Lint reads the policy's syntax tree and runs nothing: size, nesting,
//     builtins, what it may refer to, parameters, and the traps of Rego in which
//     an attribute that is absent makes a denial silent.
//   - The compiler knows only the builtins of an allow-list.
//   - Compiling and evaluating happen in worker processes that are killed when
//     they exceed their time or memory.
//
// # Engines
//
// OPA owns the meaning of rules, and two engines give its answer. The
// interpreter is OPA itself, in workers. A plan (t1_*.go) is what rules become
// once campaign and parameters are known: predicates of package expr over columns
// of package audience, from the rules as OPA's own compiler rewrote them. What
// depends on a few ids of dictionaries is not compiled but asked of OPA, once for
// each combination: in this process for the library, in a worker for whatever of a
// policy's own Rego could grow. What a plan can't answer exactly, a row whose
// integers overflow or a rule it has no way for, it leaves to workers. An engine
// also asks OPA about some customers of every set of reasons, and takes a plan out
// of service that differs.
//
// # Absent attributes
//
// Most of what a customer may declare is optional, and in Rego an expression
// about something absent is neither true nor false: the rule stays silent. For a
// denial that means yes. Lint therefore refuses, in rules deny and hold:
//
//   - a negated operator or function over an optional attribute in a module
//     without "import rego.v2": not input.customer.jurisdiction in {"DE"} does
//     not fire in Rego v1 when there is no jurisdiction;
//   - a rule that needs an optional scalar of the customer (timeZone,
//     jurisdiction, birthYear, ...), directly or through helper rules and
//     functions, when no deny or hold rule of the module fires for its absence
//     ("not input.customer.birthYear");
//   - a reason that mentions an optional attribute which the rule's body does not
//     need: the reason would vanish together with the attribute.
//
// Lists are not looked at: no life events, no ground. Nor are whole objects that
// stand for a fact, such as optOut or pause. Where silence is meant, the rule says
// so in its METADATA: "custom: {absent: allows}".
package policy
