//! The plugin's side of the interface: what a protocol is, what traffic it wants, how it is recognised.

use sniff_x_flow::FlowInfo;

use crate::event::Key;
use crate::{Decoder, OptionError, OptionSpec, Options};

/// When a decoder is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpensAt {
    /// With the first payload byte: connections without payload cost nothing.
    FirstPayload,
    /// With the first packet: for plugins that report on every connection.
    FirstPacket,
}

/// What a plugin says of itself.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// The name on the command line and in `protocol`.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// One line: what it shows.
    pub summary: &'static str,
    /// Its options.
    pub options: &'static [OptionSpec],
    /// The keys that its events may have.
    pub keys: &'static [Key],
    /// When its decoders are opened.
    pub opens_at: OpensAt,
}

/// What a look at the first bytes tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Not this protocol.
    No,
    /// Too early to say.
    More,
    /// This protocol.
    Yes {
        /// Who was taken for the client is the server.
        reversed: bool,
    },
}

/// A protocol.
pub trait Plugin: Send + Sync {
    /// What the plugin is. Constant.
    fn about(&self) -> &About;

    /// Takes the options; called once, before all else.
    ///
    /// # Errors
    /// An option's value can't be used.
    fn configure(&mut self, options: &Options) -> Result<(), OptionError>;

    /// The traffic that the plugin asks for, in pcap-filter syntax, as configured: `tcp and port 3306`.
    fn rule(&self) -> String;

    /// Whether `port` is one of the plugin's server ports, as configured: tells client from server where no SYN does.
    fn is_server_port(&self, port: u16) -> bool;

    /// Whether the first bytes of a flow, both directions as they are taken to be, are this protocol.
    fn probe(&self, to_server: &[u8], to_client: &[u8]) -> Probe;

    /// A decoder for one flow.
    fn open(&self, flow: &FlowInfo) -> Decoder;

    /// Gives a decoder that an earlier instance of this plugin opened the options of this one. False: not now, because what the decoder
    /// is at was begun with the options that it has; then it is asked again with the next bytes. A decoder may keep its options to its end.
    fn renew(&self, _decoder: &mut Decoder) -> bool {
        true
    }
}
