//! Kernels that are compiled with this crate, not with those that call them.

/// Has a generic kernel compiled here for each kind of [`Float`](crate::Float), once for each set of instructions.
///
/// A generic function is compiled in the crate that says for which types, and again in its tests. The kernels take most of the time
/// of a build, and would take it whenever a line of a caller changes. This leaves to callers which of the compiled ones they mean,
/// which the compiler finds out. It goes before a function whose type parameters are all `Float`:
///
/// ```text
/// #[apply(compiled_here)]
/// pub fn softmax<T: Float>(threads: usize, y: &mut [T], x: &[T], lanes: Lanes) { … }
/// ```
macro_rules! compiled_here {
    ($(#[$attr:meta])* $vis:vis fn $name:ident<$A:ident: Float> $args:tt $($rest:tt)*) => {
        $crate::compiled::compiled_here! { @fn [$(#[$attr])* $vis] $name [$A] $args [$($rest)*] $args [$($rest)*];
            [$A half::f16] [$A f32] }
    };
    ($(#[$attr:meta])* $vis:vis fn $name:ident<$A:ident: Float, $B:ident: Float> $args:tt $($rest:tt)*) => {
        $crate::compiled::compiled_here! { @fn [$(#[$attr])* $vis] $name [$A $B] $args [$($rest)*] $args [$($rest)*];
            [$A half::f16, $B half::f16] [$A half::f16, $B f32] [$A f32, $B half::f16] [$A f32, $B f32] }
    };
    ($(#[$attr:meta])* $vis:vis fn $name:ident<$A:ident: Float, $B:ident: Float, $C:ident: Float> $args:tt $($rest:tt)*) => {
        $crate::compiled::compiled_here! { @fn [$(#[$attr])* $vis] $name [$A $B $C] $args [$($rest)*] $args [$($rest)*];
            [$A half::f16, $B half::f16, $C half::f16] [$A half::f16, $B half::f16, $C f32]
            [$A half::f16, $B f32, $C half::f16] [$A half::f16, $B f32, $C f32]
            [$A f32, $B half::f16, $C half::f16] [$A f32, $B half::f16, $C f32]
            [$A f32, $B f32, $C half::f16] [$A f32, $B f32, $C f32] }
    };
    (@fn [$($head:tt)*] $name:ident [$($T:ident)*] ($($arg:ident: $type:ty),* $(,)?) [$(-> $out:ty)? $body:block]
        $args:tt $rest:tt; $($kinds:tt)*) => {
        $($head)* fn $name<$($T: Float),*>($($arg: $type),*) $(-> $out)? {
            #[allow(clippy::too_many_arguments)]
            fn any<$($T: Float),*>($($arg: $type),*) $(-> $out)? $body
            type Of<$($T),*> = fn($($type),*) $(-> $out)?;
            let compiled: &[&dyn std::any::Any] = &[$($crate::compiled::compiled_here!(@kind $kinds $args $rest)),*];
            let of = compiled.iter().find_map(|of| of.downcast_ref::<Of<$($T),*>>());
            of.expect("a `Float` is `f16` or `f32`")($($arg),*)
        }
    };
    // Here the parameters are names of types, so that the function has none, and is compiled where it stands.
    (@kind [$($T:ident $kind:ty),*] ($($arg:ident: $type:ty),* $(,)?) [$(-> $out:ty)? $body:block]) => {{
        $(type $T = $kind;)*
        #[allow(clippy::too_many_arguments)]
        fn of($($arg: $type),*) $(-> $out)? {
            any::<$($T),*>($($arg),*)
        }
        const OF: fn($($type),*) $(-> $out)? = of;
        &OF
    }};
}

pub(crate) use compiled_here;
