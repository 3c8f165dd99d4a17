//! How far the response to the oldest waiting request has come.

use sniff_x_flow::Nanos;

/// What the next packet of a response is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stage {
    /// The first one of a result.
    #[default]
    First,
    /// A definition of a column or parameter.
    Definitions {
        /// Definitions still to come, this one included.
        left: u64,
        of: Definitions,
    },
    /// Behind the definitions: an EOF packet, or what comes without it.
    AfterDefinitions(Definitions),
    /// A row, or the end of the rows.
    Rows,
    /// A column of a table, or the end of the list.
    Fields,
    /// The end of the transfer of a local file.
    Infile,
    /// Another packet of the authentication.
    Auth,
    /// Another packet of a stream.
    Stream,
}

/// Whose definitions they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Definitions {
    /// Columns of a result set.
    Result,
    /// Parameters of a prepared statement; so many columns follow.
    Parameters(u64),
    /// Columns of a prepared statement.
    Columns,
}

/// State of one response.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Response {
    pub(super) stage: Stage,
    /// A packet of it was seen.
    pub(super) started: bool,
    /// The sequence id of the next packet; none where the client speaks in between.
    pub(super) seq: Option<u8>,
    /// The next packet goes on with the logical packet of the last one.
    pub(super) continues: bool,
    /// Which result this is, from 0.
    pub(super) index: u64,
    /// Where the statement that gives this result begins in the request's text.
    pub(super) statement_at: usize,
    /// Rows of this result, or packets of a stream.
    pub(super) rows: u64,
    /// Columns of this result.
    pub(super) columns: u64,
    /// Bytes of this result, headers included.
    pub(super) size: u64,
    /// Warnings that came in the first packet.
    pub(super) warnings: u16,
    /// The id of the statement that was prepared.
    pub(super) prepared: Option<u32>,
    /// Bytes of a local file that the client sent.
    pub(super) infile: Option<u64>,
    /// The empty packet behind the local file was seen.
    pub(super) file_ended: bool,
    /// When an event last told of a stream that goes on.
    pub(super) told: Nanos,
}

impl Response {
    /// A packet was seen, of which `len` bytes are payload.
    pub(super) fn passed(&mut self, seq: u8, len: usize, continues: bool) {
        self.started = true;
        self.seq = Some(seq.wrapping_add(1));
        self.continues = continues;
        self.size += (len + super::wire::HEADER) as u64;
    }

    /// The next result of the same request begins, that of the statement at `statement_at` in its text.
    pub(super) fn next_result(&mut self, statement_at: usize) {
        let (seq, index) = (self.seq, self.index + 1);
        *self = Self { started: true, seq, index, statement_at, ..Self::default() };
    }

    /// The client's next packets are those of a local file, whatever their sequence ids: these begin anew after 255.
    pub(super) fn awaits_file(&self) -> bool {
        self.stage == Stage::Infile && !self.file_ended
    }

    /// The head of a result set is over: rows may come.
    pub(super) fn in_rows(&self) -> bool {
        matches!(self.stage, Stage::Rows | Stage::AfterDefinitions(Definitions::Result))
    }
}
