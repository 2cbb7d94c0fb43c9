package protocol

// Decimal is the number that v spells with at most so many digits (18 fit) and nothing else: no
// sign, no space.
func Decimal[T string | []byte](v T, most int) (n int64, ok bool) {
	if len(v) == 0 || len(v) > min(most, 18) {
		return 0, false
	}
	for i := range len(v) {
		if v[i] < '0' || v[i] > '9' {
			return 0, false
		}
		n = n*10 + int64(v[i]-'0')
	}
	return n, true
}
