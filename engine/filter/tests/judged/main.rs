//! The crate judged from outside: frame mode by libpcap, generated programs by `rbpf`, by a machine for classic BPF and by the verifiers' rules.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "lengths of frames that the tests make"
)]

#[cfg(test)]
mod captures;
#[cfg(test)]
mod cbpf;
#[cfg(test)]
mod ebpf_flow;
#[cfg(test)]
mod ebpf_frame;
#[cfg(test)]
mod made_frames;
#[cfg(test)]
mod programs;
#[cfg(test)]
mod random;
#[cfg(test)]
mod support;
#[cfg(test)]
mod taken;
