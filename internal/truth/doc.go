// Package truth runs applications that know the truth beside the real agent, and says how far
// the agent is from it and what it costs.
//
// In: python3, redis-server and the rights that the agent needs. Out: figures by the
// application's own clock beside the agent's, and paired prices with the agent on and off.
// The agent runs in a process of its own and never reads what the applications log. Nothing of
// the product imports this package, and no process outlives it.
package truth
