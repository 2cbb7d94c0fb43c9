package protocol

// AgentName is the User-Agent of the agent's own requests, by which it knows not to count them.
const AgentName = "ragscope-agent"
