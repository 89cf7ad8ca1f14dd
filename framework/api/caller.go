package api

import (
	"context"
	"slices"
)

// Role says who may call a route. A role may do what those before it may.
type Role string

// Roles, from the least to the most.
const (
	// RolePublic routes answer everybody.
	RolePublic Role = "public"
	// RoleViewer routes show states and counts.
	RoleViewer Role = "viewer"
	// RoleOperator routes show payloads, and act on what is configured: pause,
	// run, redeliver.
	RoleOperator Role = "operator"
	// RoleAdmin routes change what is configured, and who may do what.
	RoleAdmin Role = "admin"
)

func (r Role) rank() int {
	return slices.Index([]Role{RolePublic, RoleViewer, RoleOperator, RoleAdmin}, r)
}

// allows reports that somebody with role r may call a route that asks for want.
// An unknown role allows nothing and is allowed nothing.
func (r Role) allows(want Role) bool { return want.rank() >= 0 && r.rank() >= want.rank() }

// TokenRoles are the roles that a token may have.
func TokenRoles() []Role { return []Role{RoleViewer, RoleOperator, RoleAdmin} }

// Names of callers who have no token of their own.
const (
	// CallerAdmin has the admin token of the configuration.
	CallerAdmin = "admin token"
	// CallerLoopback calls a process on a loopback address that asks for none.
	CallerLoopback = "loopback"
)

// Caller is who makes a request.
type Caller struct {
	// Name is that of the token, [CallerAdmin] or [CallerLoopback]; "" for
	// somebody who showed nothing.
	Name string
	// TokenID is the id of the token, "" without one that is kept.
	TokenID string
	Role    Role
	// Project is the only one that the caller may see; "" for all.
	Project string
	// Address is where the request comes from, without its port.
	Address string
}

// Sees reports that the caller may know of a project.
func (c Caller) Sees(project string) bool { return c.Project == "" || c.Project == project }

// May reports that the caller may call routes of a role.
func (c Caller) May(want Role) bool { return c.Role.allows(want) }

type callerKey struct{}

// WithCaller returns a context whose [CallerOf] is c. Only the gate and tests
// need it.
func WithCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// CallerOf returns who makes the request of a context. What did not come through
// the gate has no name, no role and sees every project.
func CallerOf(ctx context.Context) Caller {
	c, _ := ctx.Value(callerKey{}).(Caller)
	return c
}
