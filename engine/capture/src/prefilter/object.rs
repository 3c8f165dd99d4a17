//! Generated instructions → the ELF object that aya loads.

use object::write::{Object, Symbol, SymbolSection};
use object::{Architecture, BinaryFormat, Endianness, SectionKind, SymbolFlags, SymbolKind, SymbolScope};

use crate::CaptureError;

/// The generated program's name in its object.
pub(crate) const RULE_PROGRAM: &str = "rules";

/// The section of a socket filter.
pub(super) const SOCKET: &str = "socket";

/// The licence that the program tells the kernel.
const LICENSE: &[u8] = b"Dual MIT/GPL\0";

/// The name of the map in the object of an [`array`].
pub(crate) const ARRAY: &str = "ARRAY";

/// An object with nothing but an array, named [`ARRAY`], of so many values of `value` bytes.
pub(crate) fn array(value: u32, entries: u32) -> Result<Vec<u8>, CaptureError> {
    const BPF_MAP_TYPE_ARRAY: u32 = 2;
    // `struct bpf_map_def`: type, sizes of key and value, entries, flags; then aya's id and pinning.
    let definition = [BPF_MAP_TYPE_ARRAY, 4, value, entries, 0, 0, 0].map(u32::to_le_bytes).concat();
    let mut elf = Object::new(BinaryFormat::Elf, Architecture::Bpf, Endianness::Little);
    let maps = elf.add_section(Vec::new(), b"maps".to_vec(), SectionKind::Data);
    elf.append_section_data(maps, &definition, 4);
    elf.add_symbol(Symbol {
        name: ARRAY.as_bytes().to_vec(),
        value: 0,
        size: definition.len() as u64,
        kind: SymbolKind::Data,
        scope: SymbolScope::Dynamic,
        weak: false,
        section: SymbolSection::Section(maps),
        flags: SymbolFlags::None,
    });
    elf.write().map_err(|error| CaptureError::Prefilter(format!("a map: {error}")))
}

/// Wraps the instructions of one program, of the kind that its `section` names (`socket`), as a minimal object: the program, its symbol
/// and the licence.
pub(crate) fn wrap(section: &str, instructions: &[u8]) -> Result<Vec<u8>, CaptureError> {
    if instructions.is_empty() || !instructions.len().is_multiple_of(8) {
        let text = format!("a rule program of {} bytes: not a number of instructions", instructions.len());
        return Err(CaptureError::Prefilter(text));
    }
    let mut elf = Object::new(BinaryFormat::Elf, Architecture::Bpf, Endianness::Little);
    let program = elf.add_section(Vec::new(), section.as_bytes().to_vec(), SectionKind::Text);
    elf.append_section_data(program, instructions, 8);
    elf.add_symbol(Symbol {
        name: RULE_PROGRAM.as_bytes().to_vec(),
        value: 0,
        size: instructions.len() as u64,
        kind: SymbolKind::Text,
        scope: SymbolScope::Dynamic,
        weak: false,
        section: SymbolSection::Section(program),
        flags: SymbolFlags::None,
    });
    let license = elf.add_section(Vec::new(), b"license".to_vec(), SectionKind::Data);
    elf.append_section_data(license, LICENSE, 1);
    elf.write().map_err(|error| CaptureError::Prefilter(format!("a rule program: {error}")))
}
