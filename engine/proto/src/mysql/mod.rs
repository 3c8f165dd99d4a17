//! Placeholder.
use crate::*;
use sniff_x_flow::*;
/// x
#[derive(Default)]
pub struct Mysql;
/// x
pub struct MysqlDecoder;
impl Decode for MysqlDecoder {
    fn data(&mut self, _: Direction, w: Window<'_>, _: &mut Out<'_>) -> Next {
        Next::More { used: w.bytes.len(), need: 0 }
    }
    fn gap(&mut self, _: Direction, _: Window<'_>, _: Lost, _: &mut Out<'_>) -> Next {
        Next::More { used: 0, need: 0 }
    }
    fn datagram(&mut self, _: Direction, w: Window<'_>, _: &mut Out<'_>) -> Next {
        Next::More { used: w.bytes.len(), need: 0 }
    }
    fn tick(&mut self, _: Nanos, _: &mut Out<'_>) -> bool {
        false
    }
    fn end(&mut self, _: End, _: [Window<'_>; 2], _: &mut Out<'_>) {}
    fn retained(&self) -> usize {
        0
    }
}
impl Plugin for Mysql {
    fn about(&self) -> &About {
        &About {
            name: "mysql",
            version: "",
            summary: "",
            options: &[],
            keys: &[],
            opens_at: OpensAt::FirstPayload,
        }
    }
    fn configure(&mut self, _: &Options) -> Result<(), OptionError> {
        Ok(())
    }
    fn rule(&self) -> String {
        "mysql".into()
    }
    fn is_server_port(&self, _: u16) -> bool {
        false
    }
    fn probe(&self, _: &[u8], _: &[u8]) -> Probe {
        Probe::More
    }
    fn open(&self, _: &FlowInfo) -> Decoder {
        Decoder::Mysql(Box::new(MysqlDecoder))
    }
}
