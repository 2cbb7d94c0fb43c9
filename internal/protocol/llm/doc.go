// Package llm understands how language-model servers are called over HTTP: Ollama's own API and
// OpenAI's.
//
// In: a request's path and the beginning (and end) of its JSON body; the transfers of its response
// body, with or without chunked framing. Out: operation, model and streaming; per transfer how many
// chunks carried model output; at the end the token counts, and whether they are the server's own.
// The same eye tells the first model output in what a target streams to its clients.
// Prompts and answers are looked through, never kept beyond an incomplete line.
//
// Formats: https://github.com/ollama/ollama/blob/main/docs/api.md,
// https://platform.openai.com/docs/api-reference/chat/streaming.
package llm
