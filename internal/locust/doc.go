// Package locust is Locust's formats: CSV, JSON, HTML, console tables.
//
// In: the samples of a run (Stats is a load.Sink). Out: the files and tables that Locust
// 2.46.3 writes, to the byte, so that scripts and dashboards made for it keep working. Its
// columns follow Locust's rounding and Locust's clock (from the actual send), and a 429 is a
// failure in them as it is for Locust; the honest figures stand in the recording and beside
// the compatible ones in the HTML page. It never measures and never sends.
package locust
