//! Requests that wait for their responses, in order, with their texts in one buffer that is used again and again.

use std::collections::VecDeque;

use sniff_x_flow::Nanos;

use super::command::Command;
use super::value::Form;
use crate::event::IncompleteReason;

/// Bytes that are missing in an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Loss {
    pub(super) reason: IncompleteReason,
    pub(super) bytes: u64,
}

/// A request, as far as it was seen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exchange {
    pub(super) command: Command,
    /// When its first byte was seen.
    pub(super) start: Nanos,
    /// When its last byte was seen so far.
    pub(super) end: Nanos,
    /// The sequence id of the response's first packet; none as long as the request's end was not seen.
    pub(super) reply_seq: Option<u8>,
    /// Its last packet was seen.
    pub(super) complete: bool,
    /// An event told of it already (it timed out): its response is followed, but says nothing more.
    pub(super) reported: bool,
    pub(super) loss: Option<Loss>,
    /// The prepared statement's id.
    pub(super) statement: Option<u32>,
    /// The number that the command carries.
    pub(super) argument: Option<u64>,
    /// The flags of an execution.
    pub(super) flags: u16,
    /// How the values of its parameters stand in what was kept.
    pub(super) form: Form,
    /// Rows of a bulk execution that is too long to be kept.
    pub(super) rows: Option<u64>,
    /// Whether `text_len` and the text that was kept are known.
    pub(super) has_text: bool,
    /// Length of the text, or of long data, as it was sent.
    pub(super) text_len: u64,
    /// Where what was kept begins, counted from the first byte that the queue ever held: parameters, then text.
    kept_at: u64,
    parameters_kept: usize,
    text_kept: usize,
}

impl Exchange {
    pub(super) fn new(command: Command, start: Nanos) -> Self {
        Self {
            command,
            start,
            end: start,
            reply_seq: None,
            complete: false,
            reported: false,
            loss: None,
            statement: None,
            argument: None,
            flags: 0,
            form: Form::Sent,
            rows: None,
            has_text: false,
            text_len: 0,
            kept_at: 0,
            parameters_kept: 0,
            text_kept: 0,
        }
    }

    /// Bytes of it are missing; the first reason stays.
    pub(super) fn lose(&mut self, reason: IncompleteReason, bytes: u64) {
        let loss = self.loss.get_or_insert(Loss { reason, bytes: 0 });
        loss.bytes = loss.bytes.saturating_add(bytes);
    }
}

/// What a request's bytes are kept as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    Nothing,
    /// A statement, or a name.
    Text,
    /// Parameters, attributes, or a part of a parameter. They stand in front of a text.
    Parameters,
}

/// The most requests that wait at once. Clients that send ahead send tens.
pub(super) const MAX_PENDING: usize = 1024;

/// Bytes of text that all waiting requests together may keep.
const MAX_TEXTS: usize = 1 << 20;

/// Text in front of the buffer that may lie idle before the rest is moved down.
const MAX_IDLE: usize = 64 << 10;

/// Waiting requests, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pending: VecDeque<Exchange>,
    /// The texts, in the order of `pending`.
    texts: Vec<u8>,
    /// How many bytes were thrown away in front of `texts`.
    base: u64,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.pending.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    pub(super) fn push(&mut self, mut exchange: Exchange) {
        exchange.kept_at = self.base + self.texts.len() as u64;
        self.pending.push_back(exchange);
    }

    pub(super) fn front(&self) -> Option<&Exchange> {
        self.pending.front()
    }

    pub(super) fn front_mut(&mut self) -> Option<&mut Exchange> {
        self.pending.front_mut()
    }

    pub(super) fn second(&self) -> Option<&Exchange> {
        self.pending.get(1)
    }

    pub(super) fn back(&self) -> Option<&Exchange> {
        self.pending.back()
    }

    pub(super) fn back_mut(&mut self) -> Option<&mut Exchange> {
        self.pending.back_mut()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Exchange> {
        self.pending.iter_mut()
    }

    /// Keeps more of the newest request, at most `max` bytes of its kind in all; whether there is room for still more.
    pub(super) fn keep(&mut self, what: Keep, bytes: &[u8], max: usize) -> bool {
        let Some(newest) = self.pending.back_mut() else { return false };
        let kept = match what {
            Keep::Nothing => return false,
            Keep::Text => &mut newest.text_kept,
            Keep::Parameters => &mut newest.parameters_kept,
        };
        let room = max.saturating_sub(*kept).min(MAX_TEXTS.saturating_sub(self.texts.len()));
        let taken = bytes.get(..room).unwrap_or(bytes);
        self.texts.extend_from_slice(taken);
        *kept += taken.len();
        room > taken.len()
    }

    /// What was kept of a waiting request's text.
    pub(super) fn text(&self, exchange: &Exchange) -> &[u8] {
        self.kept(exchange, exchange.parameters_kept, exchange.text_kept)
    }

    /// What was kept of a waiting request's parameters or attributes.
    pub(super) fn parameters(&self, exchange: &Exchange) -> &[u8] {
        self.kept(exchange, 0, exchange.parameters_kept)
    }

    fn kept(&self, exchange: &Exchange, offset: usize, len: usize) -> &[u8] {
        let start = usize::try_from(exchange.kept_at.saturating_sub(self.base)).unwrap_or(usize::MAX);
        let start = start.saturating_add(offset);
        self.texts.get(start..start.saturating_add(len)).unwrap_or_default()
    }

    /// Forgets the oldest request.
    pub(super) fn pop(&mut self) {
        if self.pending.pop_front().is_none() {
            return;
        }
        let Some(front) = self.pending.front() else {
            self.texts.clear();
            self.base = 0;
            return;
        };
        let idle = usize::try_from(front.kept_at.saturating_sub(self.base)).unwrap_or(usize::MAX);
        if idle > MAX_IDLE && idle <= self.texts.len() {
            self.texts.drain(..idle);
            self.base += idle as u64;
        }
    }

    /// Gives memory back when nothing waits.
    pub(super) fn shrink(&mut self) {
        if self.pending.is_empty() {
            *self = Self::default();
        }
    }

    /// Bytes of memory held.
    pub(super) fn retained(&self) -> usize {
        self.texts.capacity() + self.pending.capacity() * size_of::<Exchange>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_stay_with_their_requests() {
        let mut queue = Queue::default();
        let mut sent = VecDeque::new();
        for round in 0..500usize {
            queue.push(Exchange::new(Command::QUERY, Nanos(0)));
            let text = vec![u8::try_from(round % 251).unwrap(); 1 + round * 7 % 2000];
            let (a, b) = text.split_at(text.len() / 2);
            assert!(queue.keep(Keep::Text, a, 4096));
            queue.keep(Keep::Text, b, 4096);
            sent.push_back(text);
            while sent.len() > 1 + round % 40 {
                assert_eq!(queue.text(queue.front().unwrap()), sent.pop_front().unwrap());
                queue.pop();
            }
        }
        assert!(queue.retained() < 1 << 20);
        while !queue.is_empty() {
            queue.pop();
        }
        queue.shrink();
        assert_eq!(queue.retained(), 0);
    }

    #[test]
    fn texts_are_bounded() {
        let mut queue = Queue::default();
        queue.push(Exchange::new(Command::QUERY, Nanos(0)));
        assert!(!queue.keep(Keep::Text, &[b'x'; 100], 10));
        assert_eq!(queue.text(queue.front().unwrap()), [b'x'; 10]);
        for _ in 0..MAX_PENDING {
            queue.push(Exchange::new(Command::QUERY, Nanos(0)));
            queue.keep(Keep::Text, &[b'y'; 64 << 10], 64 << 10);
        }
        assert!(queue.retained() < 4 * MAX_TEXTS);
    }
}
