//! A client that sends whatever a test wants: messages are bytes here, with fields as the `.proto`
//! numbers them, and nothing is checked.

use std::time::Duration;

use prost_reflect::bytes::{Buf, BufMut};
use tokio::runtime::Runtime;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request};

/// A connection to a driver, and a runtime to wait for its answers.
pub struct Raw {
    runtime: Runtime,
    channel: Channel,
}

/// The answer to a call: a message, or a code and a sentence.
pub type Answer = Result<Message, (Code, String)>;

impl Raw {
    pub fn connect(address: &str) -> Self {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().build().expect("a test can have a runtime");
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .expect("a driver has an address")
            .timeout(Duration::from_secs(30));
        let channel = runtime.block_on(endpoint.connect()).expect("the driver listens");
        Self { runtime, channel }
    }

    /// Calls `method` with `message`.
    pub fn call(&self, method: &str, message: Vec<u8>) -> Answer {
        self.runtime.block_on(call(self.channel.clone(), method, message))
    }

    /// Calls `method` with all `messages`, many at a time. In the order of the messages.
    pub fn call_all(&self, method: &'static str, messages: Vec<Vec<u8>>) -> Vec<Answer> {
        const AT_ONCE: usize = 50;
        let mut answers = Vec::new();
        let mut rest = messages.into_iter();
        loop {
            let batch: Vec<_> = rest.by_ref().take(AT_ONCE).collect();
            if batch.is_empty() {
                return answers;
            }
            self.runtime.block_on(async {
                let start = |message| tokio::spawn(call(self.channel.clone(), method, message));
                let calls: Vec<_> = batch.into_iter().map(start).collect();
                for call in calls {
                    answers.push(call.await.expect("a call does not panic"));
                }
            });
        }
    }
}

async fn call(channel: Channel, method: &str, message: Vec<u8>) -> Answer {
    let mut grpc = Grpc::new(channel);
    let refused = |status: tonic::Status| (status.code(), status.message().to_owned());
    let gone = |error: tonic::transport::Error| (Code::Unavailable, error.to_string());
    grpc.ready().await.map_err(gone)?;
    let path: PathAndQuery =
        format!("/mapmill.v1.Driver/{method}").parse().expect("a method has a name");
    let answer = grpc.unary(Request::new(message), path, AsItIs).await;
    answer.map(|answer| Message(answer.into_inner())).map_err(refused)
}

/// Bytes in, bytes out.
#[derive(Clone, Copy)]
struct AsItIs;

impl Codec for AsItIs {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for AsItIs {
    type Item = Vec<u8>;
    type Error = tonic::Status;

    fn encode(&mut self, message: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), tonic::Status> {
        to.put_slice(&message);
        Ok(())
    }
}

impl Decoder for AsItIs {
    type Item = Vec<u8>;
    type Error = tonic::Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, tonic::Status> {
        Ok(Some(from.copy_to_bytes(from.remaining()).to_vec()))
    }
}

/// A message that arrived.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Message(pub Vec<u8>);

/// What a field holds.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Value {
    Number(u64),
    Bytes(Vec<u8>),
}

impl Message {
    /// The number in `field`; 0 if there is none.
    pub fn number(&self, field: u64) -> u64 {
        let values = self.fields().into_iter().rev();
        let numbers = values.filter_map(|(name, value)| match value {
            Value::Number(number) => (name == field).then_some(number),
            Value::Bytes(_) => None,
        });
        numbers.into_iter().next().unwrap_or(0)
    }

    /// The bytes in `field`, if there are any.
    pub fn bytes(&self, field: u64) -> Option<Vec<u8>> {
        let mut values = self.fields().into_iter();
        values.find_map(|(name, value)| match value {
            Value::Bytes(bytes) => (name == field).then_some(bytes),
            Value::Number(_) => None,
        })
    }

    pub fn text(&self, field: u64) -> String {
        String::from_utf8(self.bytes(field).unwrap_or_default()).expect("the driver sends UTF-8")
    }

    /// The message in `field`, if there is one.
    pub fn part(&self, field: u64) -> Option<Self> {
        self.bytes(field).map(Self)
    }

    fn fields(&self) -> Vec<(u64, Value)> {
        let mut rest = self.0.as_slice();
        let mut fields = Vec::new();
        while !rest.is_empty() {
            let tag = take_varint(&mut rest);
            let value = match tag & 7 {
                0 => Value::Number(take_varint(&mut rest)),
                2 => {
                    let length = take_varint(&mut rest) as usize;
                    Value::Bytes(rest.split_off(..length).expect("the driver's lengths fit").into())
                }
                kind => panic!("the driver sent a field of kind {kind}"),
            };
            fields.push((tag >> 3, value));
        }
        fields
    }
}

fn take_varint(from: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *from.split_off_first().expect("the driver ends its numbers");
        value |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            break;
        }
    }
    value
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// A field that holds a number.
pub fn number(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

/// A field that holds a `fixed32`.
pub fn fixed(field: u64, value: u32) -> Vec<u8> {
    [varint(field << 3 | 5), value.to_le_bytes().to_vec()].concat()
}

/// A field that holds bytes, a text, a message, or a packed list.
pub fn bytes(field: u64, value: impl AsRef<[u8]>) -> Vec<u8> {
    let value = value.as_ref();
    [varint(field << 3 | 2), varint(value.len() as u64), value.to_vec()].concat()
}

/// A field that holds a packed list of numbers.
pub fn numbers(field: u64, values: &[u64]) -> Vec<u8> {
    bytes(field, values.iter().flat_map(|&value| varint(value)).collect::<Vec<_>>())
}

/// A field that holds a packed list of `fixed32`.
pub fn fixed_list(field: u64, values: &[u32]) -> Vec<u8> {
    bytes(field, values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>())
}
