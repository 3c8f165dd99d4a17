//! The decoder's side of the plugin interface: one flow, one worker.

use sniff_x_flow::{Direction, End, Nanos};

use crate::{Out, Window};

/// Bytes that a decoder will never see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// So many bytes are missing (never captured, or cut by the snap length).
    Bytes(u64),
    /// The flow was joined in the middle: nobody knows how many.
    Unknown,
    /// The host discarded so many bytes because a message was longer than the limit of kept bytes.
    Limit(u64),
}

/// Why a connection is not looked at any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BypassReason {
    /// It is encrypted.
    Encrypted,
    /// It is not the plugin's protocol.
    NotThisProtocol,
    /// It is beyond repair: out of step, with no boundary to look for.
    Undecodable,
    /// A limit was reached.
    Limit,
}

/// What a decoder wants next in the direction that it was called for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// `used` bytes of the window are done with. The rest is kept, and `data` is not called again in this direction before
    /// `need` bytes (counted from the first kept one) are there; 0 or less than what is kept means one byte more.
    More {
        /// Bytes consumed from the window's start.
        used: usize,
        /// Length in bytes of the message that begins behind them, as far as it is known.
        need: usize,
    },
    /// `used` bytes are done with and the `then` bytes that follow them are thrown away unseen (bodies, rows).
    Skip {
        /// Bytes consumed from the window's start.
        used: usize,
        /// Bytes to pass over behind them; may reach far beyond the window.
        then: u64,
    },
    /// Nothing more of this connection matters.
    Bypass(BypassReason),
}

/// Decodes one connection. Never blocks, never panics, never reads past the window.
pub trait Decode: Send {
    /// Bytes in order: what was kept and what is new, contiguous.
    fn data(&mut self, direction: Direction, window: Window<'_>, out: &mut Out<'_>) -> Next;

    /// Bytes are missing behind `tail`, which is what was kept and is now thrown away. Data goes on behind the gap.
    fn gap(&mut self, direction: Direction, tail: Window<'_>, lost: Lost, out: &mut Out<'_>) -> Next;

    /// One UDP datagram, whole. Nothing of it is kept: of the answer only `Bypass` counts. A datagram that the snap length cut comes to `gap`
    /// instead, with what there is of it as `tail`.
    fn datagram(&mut self, direction: Direction, window: Window<'_>, out: &mut Out<'_>) -> Next;

    /// Packet time is `now` and nothing came for a while: time for exchange time-outs. True while an exchange is pending, which
    /// keeps the connection from being closed as idle.
    fn tick(&mut self, now: Nanos, out: &mut Out<'_>) -> bool;

    /// One direction was closed by its sender; no data follows in it. `tail` is what was kept of it. Bodies that end with the connection
    /// end here.
    fn half_closed(&mut self, _direction: Direction, _tail: Window<'_>, _out: &mut Out<'_>) {}

    /// The connection is over. `tails` is what was kept of each direction (to server, to client). Nothing is called after it.
    fn end(&mut self, why: End, tails: [Window<'_>; 2], out: &mut Out<'_>);

    /// Bytes of memory that the decoder holds beyond its own size; charged to the memory cap.
    fn retained(&self) -> usize;
}

macro_rules! decoders {
    ($($module:ident: $plugin:ident, $decoder:ident;)+) => {
        /// A decoder of a built-in protocol, or one from outside.
        pub enum Decoder {
            $(
                #[doc = concat!("Of the plugin `", stringify!($module), "`.")]
                $plugin(Box<crate::$module::$decoder>),
            )+
            /// From a plugin that is not built in.
            External(Box<dyn Decode>),
        }

        $(
            impl From<crate::$module::$decoder> for Decoder {
                fn from(decoder: crate::$module::$decoder) -> Self {
                    Self::$plugin(Box::new(decoder))
                }
            }
        )+

        impl Decoder {
            /// Its state comes into the cache, as far as it lies in one place.
            pub(crate) fn foresee(&self) {
                match self {
                    $(Self::$plugin(decoder) => sniff_x_prefetch::value(&**decoder),)+
                    Self::External(_) => {}
                }
            }
        }

        impl Decode for Decoder {
            fn data(&mut self, direction: Direction, window: Window<'_>, out: &mut Out<'_>) -> Next {
                match self {
                    $(Self::$plugin(decoder) => decoder.data(direction, window, out),)+
                    Self::External(decoder) => decoder.data(direction, window, out),
                }
            }

            fn gap(&mut self, direction: Direction, tail: Window<'_>, lost: Lost, out: &mut Out<'_>) -> Next {
                match self {
                    $(Self::$plugin(decoder) => decoder.gap(direction, tail, lost, out),)+
                    Self::External(decoder) => decoder.gap(direction, tail, lost, out),
                }
            }

            fn datagram(&mut self, direction: Direction, window: Window<'_>, out: &mut Out<'_>) -> Next {
                match self {
                    $(Self::$plugin(decoder) => decoder.datagram(direction, window, out),)+
                    Self::External(decoder) => decoder.datagram(direction, window, out),
                }
            }

            fn tick(&mut self, now: Nanos, out: &mut Out<'_>) -> bool {
                match self {
                    $(Self::$plugin(decoder) => decoder.tick(now, out),)+
                    Self::External(decoder) => decoder.tick(now, out),
                }
            }

            fn half_closed(&mut self, direction: Direction, tail: Window<'_>, out: &mut Out<'_>) {
                match self {
                    $(Self::$plugin(decoder) => decoder.half_closed(direction, tail, out),)+
                    Self::External(decoder) => decoder.half_closed(direction, tail, out),
                }
            }

            fn end(&mut self, why: End, tails: [Window<'_>; 2], out: &mut Out<'_>) {
                match self {
                    $(Self::$plugin(decoder) => decoder.end(why, tails, out),)+
                    Self::External(decoder) => decoder.end(why, tails, out),
                }
            }

            fn retained(&self) -> usize {
                match self {
                    $(Self::$plugin(decoder) => decoder.retained(),)+
                    Self::External(decoder) => decoder.retained(),
                }
            }
        }
    };
}
protocols!(decoders);
