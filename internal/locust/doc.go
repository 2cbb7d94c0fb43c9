// Package locust is Locust's formats: CSV, JSON, HTML, console tables.
//
// In: the samples of a run (Stats is a load.Sink). Out: the CSV files and console tables of
// Locust 2.46.3 to the byte, its JSON with the same content (response times are sorted, where
// Locust keeps the order of first use), and an HTML page of our own. The words of a failure are
// Locust's for HTTP statuses, failed checks and refused connections; those of other network
// trouble only look alike. The compatible
// columns follow Locust's rounding and Locust's clock (from the actual send), and a 429 is a
// failure in them as it is for Locust; the honest figures stand in the recording and beside
// the compatible ones in the HTML page. It never measures and never sends.
package locust
