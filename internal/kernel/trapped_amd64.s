#include "textflag.h"

// func trapped()
TEXT ·trapped(SB), NOSPLIT|NOFRAME, $0-0
	BYTE $0x90 // nop: emulated by the kernel's uprobes
	RET

// func trappedAddress() uintptr
TEXT ·trappedAddress(SB), NOSPLIT, $0-8
	LEAQ ·trapped(SB), AX
	MOVQ AX, ret+0(FP)
	RET
