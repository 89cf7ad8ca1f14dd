// Package schedule reads the schedules of polled streams, finds what is wrong with them, says them in
// English and computes when they fire. It is the only package that touches the cron library, and it
// guards its callers from what the library does with bad input: it panics on a zone without fields,
// accepts dates that never come, and takes the machine's zone where none is written.
//
// A spec is five fields (minute, hour, day of month, month, day of week), a descriptor (@hourly,
// @daily, @midnight, @weekly, @monthly, @yearly, @annually) or @every with a duration of whole seconds;
// each may follow a prefix TZ=zone or CRON_TZ=zone. Without a prefix the zone is UTC.
//
// # Words
//
// What Words says of a spec:
//
//	spec                               words
//	* * * * *                        -> every minute
//	*/15 * * * *                     -> every 15 minutes
//	1/2 * * * *                      -> every 2 minutes from minute 1
//	7/15 * * * *                     -> every hour at minutes 7, 22, 37 and 52
//	*/45 * * * *                     -> every hour at minutes 0 and 45
//	*/15 * * * 1                     -> every 15 minutes on Mondays (UTC)
//	*/10 9-17 * * mon-fri            -> every 10 minutes from 09:00 to 17:50 UTC, Monday to Friday
//	0 * * * *                        -> every hour
//	5 * * * *                        -> every hour at minute 5
//	0 9-17 * * *                     -> every hour from 09:00 to 17:00 UTC
//	0 */6 * * *                      -> every 6 hours
//	30 1/8 * * *                     -> every 8 hours from 01:30 UTC
//	TZ=Europe/Berlin 0 */6 * * *     -> every day at 00:00, 06:00, 12:00 and 18:00 Europe/Berlin
//	TZ=Asia/Kolkata 5 * * * *        -> every hour at minute 5 (Asia/Kolkata)
//	0 6 * * *                        -> every day at 06:00 UTC
//	TZ=Europe/Berlin 0 6,18 * * *    -> every day at 06:00 and 18:00 Europe/Berlin
//	0 6 * 6-8 *                      -> every day in June, July and August at 06:00 UTC
//	30 2 * * 1                       -> every Monday at 02:30 UTC
//	0 0 * * sat,sun                  -> every Saturday and Sunday at 00:00 UTC
//	0 7 * * 1-5                      -> every day from Monday to Friday at 07:00 UTC
//	0 0 1 * *                        -> on day 1 of every month at 00:00 UTC
//	0 0 1,15 1,7 *                   -> on days 1 and 15 of January and July at 00:00 UTC
//	0 0 31 * *                       -> on day 31 of every month that has it at 00:00 UTC
//	0 0 29 2 *                       -> on day 29 of February (leap years) at 00:00 UTC
//	0 0 13 * 5                       -> on day 13 of every month, and also every Friday, at 00:00 UTC
//	1-3,17 4,9,11 * * *              -> every day at minutes 1 to 3 and 17 of hours 4, 9 and 11 UTC
//	@hourly                          -> every hour
//	@daily                           -> every day at 00:00 UTC
//	@weekly                          -> every Sunday at 00:00 UTC
//	@monthly                         -> on day 1 of every month at 00:00 UTC
//	@yearly                          -> on day 1 of January at 00:00 UTC
//	@every 10s                       -> every 10 seconds
//	@every 1h                        -> every hour
//	@every 90m                       -> every 1 hour 30 minutes
//
// # Daylight saving
//
// Fields are read on the wall clock of the zone. A local time that is skipped in spring does not fire on
// that day; one that is repeated in autumn fires both times. Where the change happens at midnight,
// a schedule for 00:00 does not fire on the day that has no midnight. A rhythm within the hour, such as
// every 15 minutes, goes on evenly across a change of whole hours. A poll that must not be skipped or
// doubled names UTC.
//
// # Findings
//
// Check reports, by stable rule id:
//
//	SC110 error    not a valid spec, or longer than 256 bytes
//	SC111 error    never fires, such as 30 February
//	SC112 error    zone prefix without fields, or an unknown zone
//	SC113 warning  the step leaves uneven gaps, such as */45 in minutes
//	SC114 error    the step is larger than the field, or @every is below one second
//	SC115 warning  day of month and day of week are both set, which means either
//	SC116 warning  the hour or the day is fixed and no zone is named
//
// # Limits
//
// A spec has at most 256 bytes of printable ASCII. Seconds are not a field. The library's leniency
// is not passed on: empty list entries, signs, text after a star and fractions of a second are refused.
package schedule
