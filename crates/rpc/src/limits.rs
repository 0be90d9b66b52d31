//! Every bound of the wire, in one place, each with its reason.

use std::time::Duration;

/// Reduce tasks, and buckets, of a job. A map report and a map task's staging have one entry a
/// bucket.
pub const REDUCE_TASKS_MAX: u32 = 10_000;

/// Map tasks of a job. A reduce task carries length and checksum of one intermediate for each.
pub const MAP_TASKS_MAX: u32 = 100_000;

/// Map tasks times reduce tasks. Each is a file, and 24 bytes of the driver's memory.
pub const INTERMEDIATES_MAX: u64 = 10_000_000;

/// The largest message a driver accepts, in bytes. A map report over 10,000 buckets has at most 240
/// KB.
pub const REQUEST_BYTES_MAX: usize = 1 << 20;

/// The largest message a worker accepts, in bytes. A map task names its input files: 400,000 files
/// with paths of 130 bytes fit into one task. The driver refuses to plan more.
pub const RESPONSE_BYTES_MAX: usize = 64 << 20;

/// How long a driver keeps a `NextTask` call waiting before it answers "ask again".
pub const NEXT_TASK_WAIT: Duration = Duration::from_secs(30);

/// How long a worker waits for the answer to `NextTask`: the driver's wait, and a slow network.
pub const NEXT_TASK_DEADLINE: Duration = Duration::from_secs(40);

/// How long a worker waits for the answer to `Report`. Publishing may read and sync gigabytes; a
/// repeat joins it.
pub const REPORT_DEADLINE: Duration = Duration::from_secs(60);

/// How long a leaving worker waits for the answer: the user who stopped it waits as well.
pub const LEAVE_DEADLINE: Duration = Duration::from_secs(1);

/// How long any other call may take.
pub const CALL_DEADLINE: Duration = Duration::from_secs(5);

/// How long resolving a host's name may take: the system asks its second server after 5 s.
pub const RESOLVE_DEADLINE: Duration = Duration::from_secs(6);

/// How long setting up a connection may take, over all addresses of the driver.
pub const CONNECT_DEADLINE: Duration = Duration::from_secs(3);

/// How often either side pings on an idle connection (HTTP/2 keep-alive).
pub const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(2);

/// How long the answer to a ping may take before the connection counts as broken. Without it a call
/// over a half-open connection hangs until the kernel gives up, which takes minutes.
pub const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// A worker's name in messages and logs is cut at this many bytes, and so is its build.
pub const NAME_BYTES_MAX: usize = 255;

/// A worker's text about a failure (the system's message, a panic) is cut at this many bytes: it
/// goes into logs, the journal, and messages. The system's messages have some 50; a panic that
/// shows two values of a page each fits.
pub const TEXT_BYTES_MAX: usize = 8 << 10;

/// Names of abilities in a registration. There are twelve; later versions may have more.
pub const ABILITIES_MAX: usize = 100;

/// Bytes of a path in a message: what Linux takes (`PATH_MAX`).
pub const PATH_BYTES_MAX: usize = 4 << 10;

/// Roots that a worker names when it registers: each is compared with each folder
/// of the job. A command line has a handful.
pub const ROOTS_MAX: usize = 1000;

/// Bytes of all headers of one call. Ours need some 300.
pub const HEADER_BYTES_MAX: u32 = 16 << 10;

/// Calls in flight over one connection. A worker has two: a heartbeat, and one other.
pub const STREAMS_MAX: u32 = 64;

/// How long a driver waits after it could not accept a connection.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Lines in a driver's log, of one kind and in a second, about calls that it refuses. Ten show the
/// cause; a caller with 10,000 calls a second must not fill the disk.
pub const LINES_A_SECOND: u32 = 10;

/// How often, at most, the files of certificates are checked for changes, at a new connection.
pub const CERTIFICATE_LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Bytes of a file with a certificate or a key. Ours have under 1 KB.
pub const CREDENTIAL_BYTES_MAX: u64 = 1 << 20;

/// Connections to a driver at once. A worker has one, and a new one before the old has broken.
pub const CONNECTIONS_MAX: usize = 20_000;

/// How many connections may be idle: one without an admitted call is evicted when so many have
/// connected after it. A worker makes its first call before that.
pub const IDLE_CONNECTIONS_MAX: usize = 1_024;

/// How long a handshake may take: as long as a worker waits for it.
pub const HANDSHAKE_DEADLINE: Duration = CONNECT_DEADLINE;

/// How long a driver waits for the first call that it admits on a connection. A worker connects to
/// make a call, and has given that call up by then.
pub const FIRST_CALL_DEADLINE: Duration = CALL_DEADLINE;

/// How long the one message of a call may be on its way after the call itself: the largest, on a
/// line of 1 Mbit/s.
pub const MESSAGE_DEADLINE: Duration = Duration::from_secs(8);

/// How long a driver keeps reading from a caller whose handshake it refused, so that the reason
/// arrives: closing a socket with unread bytes discards what was sent last.
pub const LINGER: Duration = Duration::from_secs(1);

/// Bytes of a message that are taken before its receiver asks for more. Reports fit, but for those
/// of many thousand buckets.
pub const STREAM_WINDOW: u32 = 256 << 10;

/// The same for all calls of a connection together: the most that one caller can have buffered.
pub const CONNECTION_WINDOW: u32 = 1 << 20;

/// Bytes of a frame, the least that HTTP/2 allows: so little can be sent to delay a driver.
pub const FRAME_BYTES_MAX: u32 = 16 << 10;

/// Calls that were reset before the driver accepted them. A worker resets one at a time.
pub const RESET_STREAMS_MAX: usize = 20;

/// Calls that broke the rules of HTTP/2 before the connection is given up.
pub const BROKEN_STREAMS_MAX: usize = 64;

/// Findings of a kind in a report: what a summary shows.
pub const FINDINGS_MAX: usize = 10;
