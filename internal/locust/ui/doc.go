// Package ui is Locust's web UI and its REST interface, and a page that shows more than Locust's.
//
// In: a scenario, a load.Config for each run, and Locust's statistics. Out: one http.Handler
// with Locust 2.46.3's routes, answers and states (ready, spawning, running, cleanup, stopped):
//
//	POST /swarm                            start, or another load while it runs
//	GET  /stop                             stop; answers when the last request has ended
//	GET  /stats/reset                      forget what was measured so far
//	GET  /stats/requests                   statistics as JSON, at most two seconds old
//	GET  /stats/requests/csv, /stats/failures/csv, /exceptions/csv, /stats/requests_full_history/csv
//	GET  /stats/report                     the HTML report; ?download=1: as a file
//	GET  /exceptions, /tasks, /logs, /worker-count, /login
//	POST /user                             choose among the tasks, for the next run
//
// and our own: GET / (the page), /live (what changes on it), /recording.json, and /agent (stages
// and pool waits of a running agent). POST /swarm also takes rate (requests a second: the open
// model), scenario, tags, exclude_tags and think_time; without users and rate a scenario's
// stages are run. As in Locust any page may ask (CORS *) and nobody has to log in, unless
// --web-login says so.
//
// The package never measures; runs are room load's.
package ui
