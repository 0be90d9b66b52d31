//! The one message of a call, which has a deadline.

use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::{Frame, SizeHint};
use tokio::time::Sleep;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{Body as HttpBody, Bytes};

use crate::limits;

/// The body of a call, or an error once its deadline has passed: a caller that sends a byte now and
/// then could otherwise keep calls open without end.
pub(super) struct InTime {
    body: Body,
    /// Begins with the first wait: most messages come with their call.
    timeout: Option<Pin<Box<Sleep>>>,
}

impl InTime {
    pub(super) fn new(body: Body) -> Self {
        Self { body, timeout: None }
    }
}

impl HttpBody for InTime {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) {
            return Poll::Ready(frame);
        }
        let timeout = this
            .timeout
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limits::MESSAGE_DEADLINE)));
        timeout.as_mut().poll(context).map(|()| {
            let seconds = limits::MESSAGE_DEADLINE.as_secs();
            let slow = format!("the message of this call took longer than {seconds} s");
            Some(Err(Status::deadline_exceeded(slow)))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
