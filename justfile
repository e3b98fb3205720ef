# A menu of one-liners. Each calls cargo, which alone suffices.

# What CI runs.
ci:
    .ci/run

# Formatting, lints and documentation.
check:
    cargo fmt --check
    cargo clippy --workspace --all-targets -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

test:
    cargo test --workspace

# Rewrites the expectations of the files under corpus/, and the rows of docs/ops.md.
bless:
    BLESS=1 cargo test --package anemone --test corpus --test ops_page

# Every model below FOLDER: checked, printed, run; as a table.
corpus FOLDER:
    cargo xtask corpus {{FOLDER}}

# Each fuzz target for SECONDS.
fuzz SECONDS="60":
    cargo xtask fuzz {{SECONDS}}

# The golden vectors, computed anew by PyTorch, SciPy and coremltools: `just golden --check`, `just golden conv pool`.
golden *ARGS:
    cargo xtask golden {{ARGS}}

# Executables for macOS, linked here, and what they are linked to.
macos:
    cargo xtask macos

# The tests that matter on ARM, on an emulated one.
aarch64:
    cargo xtask aarch64

# Unsafe code, interpreted.
miri:
    cargo xtask miri

# The pages that commands write, drawn by a browser: `just pages`, `just pages --keep pictures`.
pages *ARGS:
    cargo xtask pages {{ARGS}}

# Threads in every order.
loom:
    cargo xtask loom

# What other interfaces offer and no test holds here yet: `just rows`, `just rows --write`.
rows *ARGS:
    cargo xtask rows {{ARGS}}

bench:
    cargo bench --workspace
