//! Generated instructions → the ELF object that aya loads.

use object::write::{Object, Symbol, SymbolSection};
use object::{Architecture, BinaryFormat, Endianness, SectionKind, SymbolFlags, SymbolKind, SymbolScope};

use crate::CaptureError;

/// The generated program's name in its object.
pub(super) const RULE_PROGRAM: &str = "rules";

/// The licence that the program tells the kernel.
const LICENSE: &[u8] = b"Dual MIT/GPL\0";

/// The name of the map of port sets in its object.
pub(super) const PORT_SETS: &str = "PORT_SETS";

/// An object with nothing but an array of so many 64-bit words.
pub(super) fn array(words: u32) -> Result<Vec<u8>, CaptureError> {
    const BPF_MAP_TYPE_ARRAY: u32 = 2;
    // `struct bpf_map_def`: type, sizes of key and value, entries, flags; then aya's id and pinning.
    let definition = [BPF_MAP_TYPE_ARRAY, 4, 8, words, 0, 0, 0].map(u32::to_le_bytes).concat();
    let mut elf = Object::new(BinaryFormat::Elf, Architecture::Bpf, Endianness::Little);
    let maps = elf.add_section(Vec::new(), b"maps".to_vec(), SectionKind::Data);
    elf.append_section_data(maps, &definition, 4);
    elf.add_symbol(Symbol {
        name: PORT_SETS.as_bytes().to_vec(),
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

/// Wraps the instructions of one socket filter as a minimal object: the program, its symbol and the licence.
pub(super) fn wrap(instructions: &[u8]) -> Result<Vec<u8>, CaptureError> {
    if instructions.is_empty() || !instructions.len().is_multiple_of(8) {
        let text = format!("a rule program of {} bytes: not a number of instructions", instructions.len());
        return Err(CaptureError::Prefilter(text));
    }
    let mut elf = Object::new(BinaryFormat::Elf, Architecture::Bpf, Endianness::Little);
    let program = elf.add_section(Vec::new(), b"socket".to_vec(), SectionKind::Text);
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
