//! A frame whose VLAN tag the kernel took out, for programs: the same tests, looking where the bytes are without it.

use std::sync::Arc;

use super::{Load, Test, Value};
use crate::ast::Operator;
use crate::graph::{Graph, Step};

/// Bytes of a tag.
const TAG: u32 = 4;

/// No register holds less once it is set: an IP and a UDP header stand before what it points at.
const LEAST_IN_REGISTER: u32 = 22;

/// The tests of frames whose tag, at `place`, lies beside them.
pub(super) fn beside(graph: &Graph<Test>, place: u32) -> Graph<Test> {
    let moved = |value: &Value| value_beside(value, place);
    let test = |test: &Test| {
        let test = match test {
            Test::Field { value, mask, set } => {
                moved(value).map(|value| Test::Field { value, mask: *mask, set: set.clone() })
            }
            Test::Compare { left, how, right } => {
                moved(left).zip(moved(right)).map(|(left, right)| Test::Compare { left, how: *how, right })
            }
            Test::Set { register, value } => {
                moved(value).map(|value| Test::Set { register: *register, value })
            }
            Test::Chain(_) | Test::LookedAt { .. } | Test::Undecided => None,
        };
        test.unwrap_or(Test::Undecided)
    };
    let steps = graph.steps.iter().map(|step| Step { test: test(&step.test), yes: step.yes, no: step.no });
    Graph { steps: steps.collect(), entry: graph.entry }
}

/// None where it can't be told before the program runs on which side of the tag a load is.
fn value_beside(value: &Value, place: u32) -> Option<Value> {
    Some(match value {
        Value::Length => Value::binary(Operator::Add, Value::Length, Value::Number(TAG)),
        Value::Binary(operator, sides) => {
            Value::binary(*operator, value_beside(&sides.0, place)?, value_beside(&sides.1, place)?)
        }
        Value::Load(Load { base: None, offset, size }) => at(*offset, *size, place),
        Value::Load(Load { base: Some(base), offset, size }) => {
            if least(base).saturating_add(*offset) < place + TAG {
                return None;
            }
            let mut base = value_beside(base, place)?;
            let offset = offset.checked_sub(TAG).unwrap_or_else(|| {
                base = Value::binary(Operator::Subtract, base.clone(), Value::Number(TAG - offset));
                0
            });
            Value::Load(Load { base: Some(Arc::new(base)), offset, size: *size })
        }
        _ => value.clone(),
    })
}

fn least(base: &Value) -> u32 {
    match base {
        Value::Register(_) => LEAST_IN_REGISTER,
        Value::Binary(Operator::Add, sides) => {
            least(&sides.0).saturating_add(least(&sides.1)).min(base_least(base))
        }
        _ => base.bounds().0,
    }
}

/// A sum that may wrap has no least.
fn base_least(base: &Value) -> u32 {
    fn most(value: &Value) -> u64 {
        match value {
            // What points into a frame is less than any frame's length.
            Value::Register(_) => 1 << 20,
            Value::Binary(Operator::Add, sides) => most(&sides.0) + most(&sides.1),
            _ => u64::from(value.bounds().1),
        }
    }
    if most(base) > u64::from(u32::MAX) { 0 } else { u32::MAX }
}

/// `size` bytes at `offset` of the tagged frame.
fn at(offset: u32, size: u8, place: u32) -> Value {
    let end = offset.saturating_add(u32::from(size));
    if end <= place {
        return Value::load(offset, size);
    }
    if offset >= place + TAG {
        return Value::load(offset - TAG, size);
    }
    match (offset.checked_sub(place), size) {
        (Some(0), 2) => Value::TagType,
        (Some(2), 2) => Value::TagControl,
        (_, 1) => byte_at(offset, place),
        _ => {
            // Across an edge of the tag, or all of it.
            let bytes = (offset..end).map(|offset| byte_at(offset, place));
            bytes.fold(Value::Number(0), |number, byte| {
                let high = Value::binary(Operator::ShiftLeft, number, Value::Number(8));
                Value::binary(Operator::Or, high, byte)
            })
        }
    }
}

fn byte_at(offset: u32, place: u32) -> Value {
    let half = |value, high| {
        if high {
            Value::binary(Operator::ShiftRight, value, Value::Number(8))
        } else {
            Value::binary(Operator::And, value, Value::Number(0xff))
        }
    };
    match offset.checked_sub(place) {
        None => Value::load(offset, 1),
        Some(0) => half(Value::TagType, true),
        Some(1) => half(Value::TagType, false),
        Some(2) => half(Value::TagControl, true),
        Some(3) => half(Value::TagControl, false),
        Some(_) => Value::load(offset - TAG, 1),
    }
}
