//! What an assembler counted. Every loss and every limit is a number here.

use crate::End;

/// Counters of an [`Assembler`](super::Assembler), from its making on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AssemblerCounters {
    /// Segments taken in.
    pub segments: u64,
    /// Segments that belong to no connection and open none: acknowledgements, FINs and RSTs of flows joined in the middle.
    pub unowned: u64,
    /// Segments of connections that had ended.
    pub stragglers: u64,
    /// Segments that no receiver would take: RSTs outside the window, SYN-ACKs that acknowledge no SYN.
    pub refused: u64,
    /// Segments whose bytes were seen before on another interface.
    pub copies: u64,
    /// Connections that were opened.
    pub opened: u64,
    /// Those of them without a SYN.
    pub midstream: u64,
    /// Connections closed: both FINs.
    pub closed_fin: u64,
    /// Connections closed: RST.
    pub closed_rst: u64,
    /// Connections closed: another SYN on the same tuple.
    pub closed_reused: u64,
    /// Connections closed: no packets for the idle time-out.
    pub closed_idle: u64,
    /// Connections closed: limit of connections.
    pub closed_evicted: u64,
    /// Connections closed: end of input.
    pub closed_eof: u64,
    /// Connections that are open now, embryonic ones included.
    pub open: u64,
    /// Those of them with nothing but SYNs so far.
    pub embryonic: u64,
    /// Connections that ended and are still remembered.
    pub closed: u64,
    /// Bytes handed on.
    pub bytes: u64,
    /// Gaps told, those of unknown size not included.
    pub gaps: u64,
    /// Bytes in those gaps.
    pub gap_bytes: u64,
    /// Payload bytes that had been seen before.
    pub retransmitted_bytes: u64,
    /// Segments whose payload began after a hole.
    pub out_of_order: u64,
    /// Segments that gave other bytes for a place than the first ones.
    pub overlap_conflicts: u64,
    /// Holes given up because a connection had too many pages.
    pub limit_pages_per_connection: u64,
    /// Holes given up because there were too many pages in all.
    pub limit_pages_total: u64,
    /// Connections given up or forgotten because there were too many.
    pub limit_connections: u64,
    /// Connections forgotten early because too many had ended.
    pub limit_closed: u64,
    /// Pages in use now.
    pub pages: u64,
    /// The most pages that were in use.
    pub pages_peak: u64,
}

impl AssemblerCounters {
    /// Connections that ended for the reason `end`.
    pub(super) fn ended(&mut self, end: End) -> &mut u64 {
        match end {
            End::Fin => &mut self.closed_fin,
            End::Rst => &mut self.closed_rst,
            End::Reused => &mut self.closed_reused,
            End::Idle => &mut self.closed_idle,
            End::Evicted => &mut self.closed_evicted,
            End::Eof => &mut self.closed_eof,
        }
    }

    /// All connections that ended.
    #[must_use]
    pub fn closed_all(&self) -> u64 {
        self.closed_fin
            + self.closed_rst
            + self.closed_reused
            + self.closed_idle
            + self.closed_evicted
            + self.closed_eof
    }
}
