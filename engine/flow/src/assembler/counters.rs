//! What an assembler counted. Every loss and every limit is a number here.

use crate::{End, counters};

counters! {
    /// Counters of an [`Assembler`](super::Assembler), from its making on.
    pub struct AssemblerCounters in "tcp" {
        /// Segments taken in.
        pub segments,
        /// Segments that belong to no connection and open none: acknowledgements, FINs and RSTs of flows joined in the middle.
        pub unowned,
        /// Segments of connections that had ended.
        pub stragglers,
        /// Segments that no receiver would take: RSTs outside the window, SYN-ACKs that acknowledge no SYN.
        pub refused,
        /// SYNs with another number on an open connection: another connection only if somebody goes on from them.
        pub doubtful_syns,
        /// Segments whose bytes were seen before on another interface.
        pub copies,
        /// Connections that were opened.
        pub opened,
        /// Those of them without a SYN.
        pub midstream,
        /// Connections closed: both FINs.
        pub closed_fin,
        /// Connections closed: RST.
        pub closed_rst,
        /// Connections closed: another SYN on the same tuple.
        pub closed_reused,
        /// Connections closed: no packets for the idle time-out.
        pub closed_idle,
        /// Connections closed: limit of connections.
        pub closed_evicted,
        /// Connections closed: end of input.
        pub closed_eof,
        /// Connections that are open now, embryonic ones included.
        pub open,
        /// Those of them with nothing but SYNs so far.
        pub embryonic,
        /// Connections that ended and are still remembered.
        pub closed,
        /// Bytes handed on.
        pub bytes,
        /// Gaps told, those of unknown size not included.
        pub gaps,
        /// Bytes in those gaps.
        pub gap_bytes,
        /// Payload bytes that had been seen before.
        pub retransmitted_bytes,
        /// Segments whose payload began after a hole.
        pub out_of_order,
        /// Segments held back until what they acknowledge of the other direction was seen.
        pub held_back,
        /// Those of them that were handed on without it: no causal order could be found.
        pub unordered,
        /// Segments that gave other bytes for a place than the first ones.
        pub overlap_conflicts,
        /// Holes given up because a connection had too many pages.
        pub limit_pages_per_connection,
        /// Holes given up because there were too many pages in all.
        pub limit_pages_total,
        /// Connections given up or forgotten because there were too many.
        pub limit_connections,
        /// Connections given up because too many had nothing but SYNs.
        pub limit_embryonic,
        /// Connections forgotten early because too many had ended.
        pub limit_closed,
        /// Pages in use now.
        pub pages,
        /// The most pages that were in use.
        pub pages_peak,
    }
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
