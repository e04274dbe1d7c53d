//! Requests whose inputs stay encoded: a list of a million values is one run of bytes here, and not a million messages.

use crate::error::ApiError;
use crate::executions;
use crate::shared::Shared;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use prost::Message as _;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use skein_idl::flyteidl::admin::{ExecutionCreateRequest, ExecutionCreateResponse};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder};
use tonic::server::{Grpc, UnaryService};

/// The path under which executions are created.
pub(crate) const PATH: &str = "/flyteidl.service.AdminService/CreateExecution";
/// The field of the request that holds its inputs.
const INPUTS: u32 = 5;

/// A request to create an execution.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct CreateRequest {
    /// All but its inputs.
    pub(crate) request: ExecutionCreateRequest,
    /// Its inputs, an encoded `LiteralMap`; none when it has none.
    pub(crate) inputs: Option<Bytes>,
}

impl From<ExecutionCreateRequest> for CreateRequest {
    fn from(mut request: ExecutionCreateRequest) -> Self {
        let inputs = request.inputs.take().map(|inputs| inputs.encode_to_vec().into());
        Self { request, inputs }
    }
}

impl CreateRequest {
    /// Takes an encoded request apart.
    fn decode(mut whole: Bytes) -> Result<Self, prost::DecodeError> {
        let (mut rest, mut inputs) = (BytesMut::new(), BytesMut::new());
        let mut has_inputs = false;
        while whole.has_remaining() {
            let from_key = whole.clone();
            let (field, wire) = decode_key(&mut whole)?;
            if field == INPUTS && wire == WireType::LengthDelimited {
                let length = decode_varint(&mut whole)?;
                let length = usize::try_from(length).ok().filter(|length| *length <= whole.len());
                // Where it is cut is for the decoder to word.
                let Some(length) = length else {
                    return Ok(ExecutionCreateRequest::decode(from_key)?.into());
                };
                has_inputs = true;
                // A message that is given in pieces is all of them.
                inputs.put(whole.split_to(length));
            } else {
                skip_field(wire, field, &mut whole, DecodeContext::default())?;
                rest.put_slice(&from_key[..from_key.len() - whole.len()]);
            }
        }
        let request = ExecutionCreateRequest::decode(rest)?;
        Ok(Self { request, inputs: has_inputs.then(|| inputs.freeze()) })
    }
}

/// Serves the one path, with messages of at most `bytes_max` bytes.
pub(crate) async fn serve(shared: Arc<Shared>, bytes_max: usize, request: Request) -> Response {
    let mut grpc = Grpc::new(CreateCodec).apply_max_message_size_config(Some(bytes_max), None);
    grpc.unary(Create(shared), request).await.map(Body::new)
}

struct Create(Arc<Shared>);

impl UnaryService<CreateRequest> for Create {
    type Response = ExecutionCreateResponse;
    type Future =
        Pin<Box<dyn Future<Output = Result<tonic::Response<ExecutionCreateResponse>, Status>> + Send>>;

    fn call(&mut self, request: tonic::Request<CreateRequest>) -> Self::Future {
        let shared = Arc::clone(&self.0);
        Box::pin(async move {
            let created: Result<_, ApiError> = executions::create(&shared, request.into_inner()).await;
            Ok(tonic::Response::new(created?))
        })
    }
}

struct CreateCodec;

impl Codec for CreateCodec {
    type Encode = ExecutionCreateResponse;
    type Decode = CreateRequest;
    type Encoder = <tonic_prost::ProstCodec<ExecutionCreateResponse, ()> as Codec>::Encoder;
    type Decoder = Self;

    fn encoder(&mut self) -> Self::Encoder {
        tonic_prost::ProstCodec::<ExecutionCreateResponse, ()>::default().encoder()
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Decoder for CreateCodec {
    type Item = CreateRequest;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<CreateRequest>, Status> {
        let whole = from.copy_to_bytes(from.remaining());
        // As tonic words it for every other message.
        let decoded = CreateRequest::decode(whole).map_err(|error| Status::internal(error.to_string()));
        decoded.map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skein_idl::flyteidl::core::{Literal, LiteralMap};

    fn example() -> ExecutionCreateRequest {
        let inputs = LiteralMap { literals: [("x".to_owned(), Literal::default())].into() };
        ExecutionCreateRequest {
            project: "p".to_owned(),
            name: "n".to_owned(),
            inputs: Some(inputs),
            org: "o".to_owned(),
            ..ExecutionCreateRequest::default()
        }
    }

    #[test]
    fn a_request_is_what_it_would_be_if_it_were_decoded_whole() {
        for request in [example(), ExecutionCreateRequest { inputs: None, ..example() }] {
            let decoded = CreateRequest::decode(request.encode_to_vec().into());
            assert_eq!(decoded, Ok(CreateRequest::from(request)));
        }
    }

    #[test]
    fn inputs_in_pieces_are_all_of_them() {
        let pieces = [example().encode_to_vec(), example().encode_to_vec()].concat();
        let decoded = CreateRequest::decode(pieces.into()).expect("a request");
        let once = CreateRequest::from(example()).inputs.expect("inputs");
        assert_eq!(decoded.inputs.expect("inputs"), [once.clone(), once].concat());
    }

    #[test]
    fn a_request_that_is_cut_is_refused() {
        let whole = example().encode_to_vec();
        for length in 1..whole.len() {
            let cut = Bytes::copy_from_slice(&whole[..length]);
            assert_eq!(
                CreateRequest::decode(cut.clone()).is_ok(),
                ExecutionCreateRequest::decode(cut).is_ok()
            );
        }
    }
}
