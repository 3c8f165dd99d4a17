//! Counters: plain numbers that a thread owns, with a name each and a sum over threads.

/// Makes a struct of `u64` counters that knows their names and how to add those of another thread.
///
/// A counter's name is the prefix, a dot and the field's name: `tcp.gap_bytes`.
#[macro_export]
macro_rules! counters {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident in $prefix:literal {
            $($(#[$field_meta:meta])* pub $field:ident,)+
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        $vis struct $name {
            $($(#[$field_meta])* pub $field: u64,)+
        }

        impl $name {
            /// Adds what another thread counted.
            pub fn add(&mut self, other: &Self) {
                $(self.$field += other.$field;)+
            }

            /// Every counter with its name, in the order of the fields.
            #[must_use]
            pub fn named(&self) -> Vec<(&'static str, u64)> {
                vec![$((concat!($prefix, ".", stringify!($field)), self.$field)),+]
            }
        }
    };
}
