//! The world's `tracing` subscriber: a catalogued event becomes an event of the trace.
//! Must never see anything but catalogued events.

use std::cell::RefCell;
use std::fmt;
use std::sync::{Arc, LazyLock};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Dispatch, Metadata, Subscriber};

use super::kernel::Kernel;
use crate::env::TARGET;
use crate::trace::Value;

thread_local! {
    /// Whose events this thread makes now.
    static KERNEL: RefCell<Option<Arc<Kernel>>> = const { RefCell::new(None) };
}

/// One subscriber for all worlds of the process: a new one for each would re-register every call
/// site under a global lock.
static DISPATCH: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(Catalogued));

/// Runs `work` with its catalogued events going to the recorder of `kernel`.
pub fn recording<T>(kernel: &Arc<Kernel>, work: impl FnOnce() -> T) -> T {
    let before = KERNEL.replace(Some(Arc::clone(kernel)));
    let result = tracing::dispatcher::with_default(&DISPATCH, work);
    KERNEL.replace(before);
    result
}

struct Catalogued;

impl Subscriber for Catalogued {
    fn register_callsite(&self, meta: &'static Metadata<'static>) -> Interest {
        if self.enabled(meta) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, meta: &Metadata<'_>) -> bool {
        meta.target() == TARGET && meta.is_event()
    }

    fn event(&self, event: &tracing::Event<'_>) {
        let mut fields = Fields(Vec::with_capacity(event.metadata().fields().len()));
        event.record(&mut fields);
        KERNEL.with_borrow(|kernel| {
            if let Some(kernel) = kernel {
                kernel.tell(|recorder| recorder.event(event.metadata().name(), fields.0));
            }
        });
    }

    /// Never asked: no span is enabled.
    fn new_span(&self, _span: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}
}

struct Fields(Vec<(&'static str, Value)>);

impl Fields {
    fn push(&mut self, field: &Field, value: Value) {
        let name = field.name();
        self.0.push((name.strip_prefix("r#").unwrap_or(name), value));
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.push(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.push(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.push(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.push(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.push(field, format!("{value:?}").into());
    }
}
