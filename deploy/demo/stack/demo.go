package main

import "context"

func demo(ctx context.Context, s settings) error { return nil }
