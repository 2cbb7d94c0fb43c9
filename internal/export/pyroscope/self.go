package pyroscope

import (
	"fmt"

	selfprofile "github.com/grafana/pyroscope-go"
)

// StartSelf sends profiles of this program itself (CPU, allocations, heap) to the server at
// url under the service name. It uses Grafana's own library, which holds twenty profiles,
// drops silently and never retries: enough for a look at ourselves, not for measurements.
func StartSelf(url, name string) (stop func(), err error) {
	p, err := selfprofile.Start(selfprofile.Config{
		ApplicationName: name,
		ServerAddress:   url,
		DisableGCRuns:   true, // a forced collection every 15 s would be overhead of ours
		ProfileTypes: []selfprofile.ProfileType{
			selfprofile.ProfileCPU, selfprofile.ProfileAllocSpace, selfprofile.ProfileInuseSpace,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("profile this program to %s: %w", url, err)
	}
	return func() { _ = p.Stop() }, nil
}
