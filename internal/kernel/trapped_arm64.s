#include "textflag.h"

// func trapped()
TEXT ·trapped(SB), NOSPLIT|NOFRAME, $0-0
	NOOP
	RET

// func trappedAddress() uintptr
TEXT ·trappedAddress(SB), NOSPLIT, $0-8
	MOVD $·trapped(SB), R0
	MOVD R0, ret+0(FP)
	RET
