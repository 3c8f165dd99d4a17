//! What a run is to do: the checked configuration that the command line (or another program) makes.

use core::time::Duration;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use sniff_x_capture::Source;
use sniff_x_filter::Expression;
use sniff_x_flow::packet::ParseOptions;
use sniff_x_proto::Plugin;
use sniff_x_proto::event::KeyTable;

use crate::pipeline::Switch;
use crate::sink::groups::GroupOptions;
use crate::sink::text::TextOptions;

/// Where frames come from.
pub enum Input {
    /// Live interfaces.
    Live {
        /// Interface names; `any` alone is all of them.
        interfaces: Vec<String>,
        /// Which backend captures.
        backend: Backend,
        /// Bytes of one ring; with several workers each may have one on every interface.
        ring_size: usize,
        /// Bytes of one block of the ring.
        block_size: usize,
        /// Bytes of a frame that are kept; 0 is all.
        snaplen: u32,
        /// How long a block that isn't full waits before the kernel hands it over.
        retire: Duration,
        /// Whether the interface is put into promiscuous mode.
        promiscuous: bool,
    },
    /// A capture file; `-` is standard input.
    File(PathBuf),
    /// Sources that are open already, each read by a worker of its own if there are several: all frames of a flow must come from the
    /// same one.
    Sources(Vec<Box<dyn Source>>),
}

/// How live frames are captured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backend {
    /// AF_PACKET where it exists, else libpcap.
    #[default]
    Auto,
    /// AF_PACKET with a TPACKET_V3 ring.
    AfPacket,
    /// libpcap.
    Libpcap,
}

/// How events are written.
#[derive(Clone, Debug)]
pub enum Format {
    /// Lines for people.
    Text(TextOptions),
    /// JSON Lines.
    Json,
    /// No lines: a table of sums.
    Groups(GroupOptions),
}

/// Where events go.
pub struct Output {
    /// How they are written.
    pub format: Format,
    /// The writer; owned by the writer thread.
    pub to: Box<dyn Write + Send>,
    /// Whether nobody reads any more what is written: asked while there is nothing to write, and then the run ends.
    pub is_abandoned: Box<dyn Fn() -> bool + Send>,
    /// Stop after so many events.
    pub count: Option<u64>,
}

/// Bounds on memory and time, each with a counter.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of an event's text that are kept.
    pub max_text: usize,
    /// Bytes of an unfinished message that are kept for a decoder, per direction of a connection.
    pub max_message: usize,
    /// Bytes of unfinished messages and exchanges that are kept, all connections together; beyond it only small ones are.
    pub max_kept: usize,
    /// Connections followed at once, all workers together.
    pub max_connections: usize,
    /// Those of them with nothing but SYNs so far, all workers together.
    pub max_embryonic: usize,
    /// Out-of-order pages per connection.
    pub max_pages_per_connection: usize,
    /// Out-of-order pages, all workers together.
    pub max_pages: usize,
    /// A connection without packets for so long is closed.
    pub idle_timeout: Duration,
    /// UDP flows followed at once, all workers together.
    pub max_udp_flows: usize,
    /// A UDP flow without packets for so long is closed.
    pub udp_idle_timeout: Duration,
    /// IP datagrams whose fragments are waited for at once.
    pub max_fragmented: usize,
    /// Pages of fragments that wait.
    pub max_fragment_pages: usize,
    /// How long a fragment waits for the others of its datagram; none is 30 s for IPv4 and 60 s for IPv6.
    pub fragment_timeout: Option<Duration>,
    /// A connection with nothing but SYNs for so long is closed.
    pub embryonic_timeout: Duration,
    /// An exchange without a response for so long is given up.
    pub exchange_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_text: 64 << 10,
            max_message: 128 << 10,
            max_kept: 128 << 20,
            max_connections: 1 << 20,
            max_embryonic: 64 << 10,
            max_pages_per_connection: 512,
            max_pages: 32 << 10,
            idle_timeout: Duration::from_secs(300),
            max_udp_flows: 128 << 10,
            udp_idle_timeout: Duration::from_secs(60),
            max_fragmented: 4096,
            max_fragment_pages: 4096,
            fragment_timeout: None,
            embryonic_timeout: Duration::from_secs(20),
            exchange_timeout: Duration::from_secs(3600),
        }
    }
}

/// A plugin of a run, configured, and which flows it may get.
pub struct Chosen {
    /// The plugin.
    pub plugin: Box<dyn Plugin>,
    /// Those that its rule matches. Where the rules of several match one, their probes decide.
    pub by_rule: bool,
    /// Those whose first bytes its probe knows, on whatever ports: `auto`.
    pub by_probe: bool,
}

impl From<Box<dyn Plugin>> for Chosen {
    /// A plugin that gets the flows that its rule matches.
    fn from(plugin: Box<dyn Plugin>) -> Self {
        Self { plugin, by_rule: true, by_probe: false }
    }
}

/// What plugins that go by their probes alone ask for.
const ANYTHING: &str = "tcp or udp";

/// The traffic that the plugins ask for: each rule with the name of who asks.
#[must_use]
pub fn rules(plugins: &[Chosen]) -> Vec<(&str, String)> {
    let named = plugins.iter().filter(|c| c.by_rule).map(|c| (c.plugin.about().name, c.plugin.rule()));
    let auto = plugins.iter().any(|c| c.by_probe).then(|| ("auto", ANYTHING.to_owned()));
    named.chain(auto).collect()
}

/// A run.
pub struct Config {
    /// Where frames come from.
    pub input: Input,
    /// The plugins, configured; may be empty when frames are only written.
    pub plugins: Vec<Chosen>,
    /// The keys of events, those of external plugins joined.
    pub keys: KeyTable,
    /// `--filter`, frame mode.
    pub filter: Option<Expression>,
    /// Events hide what users put in: literals, values, bodies.
    pub redact: bool,
    /// How frames are read.
    pub parse: ParseOptions,
    /// Workers; 1 reads, decodes and formats in one thread. Live, each of several reads a ring of its own where the kernel can share the
    /// flows out and no pcapng file is written; else one reader serves all.
    pub threads: usize,
    /// Where events go.
    pub output: Output,
    /// A pcapng file for the frames that passed.
    pub write: Option<PathBuf>,
    /// The folder of `tcp --dump`.
    pub dump: Option<PathBuf>,
    /// Stop after so long (live).
    pub duration: Option<Duration>,
    /// Log the counters so often (live).
    pub stats_interval: Option<Duration>,
    /// Bounds.
    pub limits: Limits,
}

/// Called when the sources are open, with what replaces rules and options from then on.
type OnOpen = Arc<dyn Fn(Switch) + Send + Sync>;

/// What another thread may do to, and see of, a running engine.
#[derive(Clone, Default)]
pub struct Control {
    /// Set to stop the intake; what was taken in is still decoded and written.
    pub stop: Arc<AtomicBool>,
    /// Bytes of the file that were read.
    pub bytes_read: Arc<AtomicU64>,
    /// Bytes that the file has; 0 while unknown.
    pub bytes_total: Arc<AtomicU64>,
    /// Called once when the sources are open and before any frame is read: the moment to give up privileges, but for the thread that uses
    /// the switch.
    pub on_open: Option<OnOpen>,
}

impl Control {
    /// The sources are open.
    pub(crate) fn opened(&self, switch: Switch) {
        if let Some(on_open) = &self.on_open {
            on_open(switch);
        }
    }
}
