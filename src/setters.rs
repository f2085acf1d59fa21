//! Chained setters for options.

/// Adds a chained setter for each named field to an options struct.
///
/// `field: T` takes the value, `field: Some(T)` the value of an optional field, `field: [T]` the items of a list, and
/// `field: Some([T])` those of an optional list.
macro_rules! setters {
    ($options:ident { $($fields:tt)* }) => {
        impl $options {
            $crate::setters::setters!(@each $options $($fields)*);
        }
    };
    (@each $options:ident) => {};
    (@each $options:ident $field:ident: Some([$item:ty]), $($rest:tt)*) => {
        $crate::setters::setters!(@one $options $field: impl IntoIterator<Item = $item>,
            Some($field.into_iter().map(Into::into).collect()));
        $crate::setters::setters!(@each $options $($rest)*);
    };
    (@each $options:ident $field:ident: Some($value:ty), $($rest:tt)*) => {
        $crate::setters::setters!(@one $options $field: $value, Some($field.into()));
        $crate::setters::setters!(@each $options $($rest)*);
    };
    (@each $options:ident $field:ident: [$item:ty], $($rest:tt)*) => {
        $crate::setters::setters!(@one $options $field: impl IntoIterator<Item = $item>,
            $field.into_iter().map(Into::into).collect());
        $crate::setters::setters!(@each $options $($rest)*);
    };
    (@each $options:ident $field:ident: $value:ty, $($rest:tt)*) => {
        $crate::setters::setters!(@one $options $field: $value, $field.into());
        $crate::setters::setters!(@each $options $($rest)*);
    };
    (@one $options:ident $field:ident: $value:ty, $set:expr) => {
        #[doc = concat!(
            "Sets [`", stringify!($field), "`](field@Self::", stringify!($field), "); [`", stringify!($options),
            "`] has an example.",
        )]
        #[must_use]
        #[allow(clippy::useless_conversion, reason = "some fields take their own type")]
        pub fn $field(mut self, $field: $value) -> Self {
            self.$field = $set;
            self
        }
    };
}

pub(crate) use setters;
