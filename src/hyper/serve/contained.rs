//! [`Contained`]: a service whose panics belong to its requests.
//!
//! hyper calls the service of an HTTP/2 connection in the task of the connection, and polls the future that it returns in
//! a task of the request. A panic of the call would end all requests of the connection, so the future repeats it.

use hyper::service::Service;
use pin_project_lite::pin_project;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

/// A service whose calls do not panic: their futures do so instead.
pub(super) struct Contained<S>(pub(super) S);

impl<R, S: Service<R>> Service<R> for Contained<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = Call<S::Future>;

    #[inline]
    fn call(&self, request: R) -> Call<S::Future> {
        // After a panic, the service continues with other requests, as it does after a panic of its futures.
        match catch_unwind(AssertUnwindSafe(|| self.0.call(request))) {
            Ok(future) => Call::Returned { future },
            Err(payload) => Call::Panicked {
                payload: Some(payload),
            },
        }
    }
}

pin_project! {
    /// The future of a [`Contained`] service.
    #[project = Projected]
    pub(super) enum Call<F> {
        /// The call has returned.
        Returned {
            // The future that the service returned.
            #[pin]
            future: F,
        },
        /// The call has panicked.
        Panicked {
            // The payload of the panic, until the first poll.
            payload: Option<Box<dyn Any + Send>>,
        },
    }
}

impl<F: Future> Future for Call<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        match self.project() {
            Projected::Returned { future } => future.poll(cx),
            Projected::Panicked { payload } => match payload.take() {
                // The hook of panics has already run.
                Some(payload) => resume_unwind(payload),
                None => panic!("a future was polled after it has panicked"),
            },
        }
    }
}
