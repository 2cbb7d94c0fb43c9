package llm

import "bytes"

// maxLines bounds how many lines of one piece are looked at.
const maxLines = 256

// FirstClientToken reports whether a piece of a stream to a client carries model output: an event
// of type token, or an object with text where OpenAI and Ollama put it. An object whose type is
// another one, metadata or a phase, is none, whatever else it holds.
func FirstClientToken(piece []byte) bool {
	found := false
	eachObject(piece, func(b []byte) bool {
		found = carriesToken(b)
		return !found
	})
	return found
}

func carriesToken(b []byte) bool {
	typed, typeIsToken, output := false, false, false
	walk(b, func(depth int, key, value []byte) {
		switch string(key) {
		case "type":
			if depth == 1 {
				typed, typeIsToken = true, tokenType(text(value))
			}
		case "content", "response", "text", "reasoning_content":
			output = output || says(value)
		}
	})
	if typed {
		return typeIsToken
	}
	return output
}

func tokenType(t []byte) bool {
	switch string(t) {
	case "token", "content_block_delta", "response.output_text.delta":
		return true
	}
	return false
}

// StreamError reports whether a piece of a stream to a client tells an error inside a response
// that began well: {"type":"error"…}, {"error":…} or an event named error.
func StreamError(piece []byte) bool {
	if bytes.HasPrefix(piece, []byte("event: error")) || bytes.Contains(piece, []byte("\nevent: error")) {
		return true
	}
	found := false
	eachObject(piece, func(b []byte) bool {
		walk(b, func(depth int, key, value []byte) {
			if depth != 1 {
				return
			}
			switch string(key) {
			case "type":
				found = found || string(text(value)) == "error"
			case "error":
				found = found || says(value) || len(value) > 0 && value[0] == '{'
			}
		})
		return !found
	})
	return found
}

// eachObject calls visit with each line of piece that holds a JSON object, until it returns false.
func eachObject(piece []byte, visit func([]byte) bool) {
	for range maxLines {
		if len(piece) == 0 {
			return
		}
		line := piece
		if i := bytes.IndexByte(piece, '\n'); i >= 0 {
			line, piece = piece[:i], piece[i+1:]
		} else {
			piece = nil
		}
		if line = payload(line); len(line) > 1 && line[0] == '{' && !visit(line) {
			return
		}
	}
}
