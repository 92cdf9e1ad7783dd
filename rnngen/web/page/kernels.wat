;; The inner loops of the synthesis network, four numbers at a time (WebAssembly SIMD). Single precision.
;; Matrices are packed in blocks of 32 rows, column by column; vectors have a multiple of 32 numbers. Addresses in bytes.
(module
  (import "page" "memory" (memory 1))

  ;; out += matrix · input, for `blocks` blocks of rows and `columns` columns
  (func (export "addProduct")
    (param $out i32) (param $matrix i32) (param $input i32) (param $blocks i32) (param $columns i32)
    (local $a v128) (local $b v128) (local $c v128) (local $d v128)
    (local $e v128) (local $f v128) (local $g v128) (local $h v128)
    (local $x v128) (local $k i32) (local $end i32)
    (local.set $end (i32.add (local.get $input) (i32.shl (local.get $columns) (i32.const 2))))
    (loop $block
      (local.set $a (v128.load (local.get $out)))
      (local.set $b (v128.load offset=16 (local.get $out)))
      (local.set $c (v128.load offset=32 (local.get $out)))
      (local.set $d (v128.load offset=48 (local.get $out)))
      (local.set $e (v128.load offset=64 (local.get $out)))
      (local.set $f (v128.load offset=80 (local.get $out)))
      (local.set $g (v128.load offset=96 (local.get $out)))
      (local.set $h (v128.load offset=112 (local.get $out)))
      (local.set $k (local.get $input))
      (loop $column
        (local.set $x (v128.load32_splat (local.get $k)))
        (local.set $a (f32x4.add (local.get $a) (f32x4.mul (local.get $x) (v128.load (local.get $matrix)))))
        (local.set $b (f32x4.add (local.get $b) (f32x4.mul (local.get $x) (v128.load offset=16 (local.get $matrix)))))
        (local.set $c (f32x4.add (local.get $c) (f32x4.mul (local.get $x) (v128.load offset=32 (local.get $matrix)))))
        (local.set $d (f32x4.add (local.get $d) (f32x4.mul (local.get $x) (v128.load offset=48 (local.get $matrix)))))
        (local.set $e (f32x4.add (local.get $e) (f32x4.mul (local.get $x) (v128.load offset=64 (local.get $matrix)))))
        (local.set $f (f32x4.add (local.get $f) (f32x4.mul (local.get $x) (v128.load offset=80 (local.get $matrix)))))
        (local.set $g (f32x4.add (local.get $g) (f32x4.mul (local.get $x) (v128.load offset=96 (local.get $matrix)))))
        (local.set $h (f32x4.add (local.get $h) (f32x4.mul (local.get $x) (v128.load offset=112 (local.get $matrix)))))
        (local.set $matrix (i32.add (local.get $matrix) (i32.const 128)))
        (local.set $k (i32.add (local.get $k) (i32.const 4)))
        (br_if $column (i32.lt_u (local.get $k) (local.get $end))))
      (v128.store (local.get $out) (local.get $a))
      (v128.store offset=16 (local.get $out) (local.get $b))
      (v128.store offset=32 (local.get $out) (local.get $c))
      (v128.store offset=48 (local.get $out) (local.get $d))
      (v128.store offset=64 (local.get $out) (local.get $e))
      (v128.store offset=80 (local.get $out) (local.get $f))
      (v128.store offset=96 (local.get $out) (local.get $g))
      (v128.store offset=112 (local.get $out) (local.get $h))
      (local.set $out (i32.add (local.get $out) (i32.const 128)))
      (local.set $blocks (i32.sub (local.get $blocks) (i32.const 1)))
      (br_if $block (local.get $blocks))))

  ;; out += weight · vector, for `count` numbers, a multiple of four
  (func (export "addScaled") (param $out i32) (param $vector i32) (param $weight f32) (param $count i32)
    (local $end i32)
    (local.set $end (i32.add (local.get $out) (i32.shl (local.get $count) (i32.const 2))))
    (loop $next
      (v128.store (local.get $out)
        (f32x4.add (v128.load (local.get $out)) (f32x4.mul (f32x4.splat (local.get $weight)) (v128.load (local.get $vector)))))
      (local.set $vector (i32.add (local.get $vector) (i32.const 16)))
      (local.set $out (i32.add (local.get $out) (i32.const 16)))
      (br_if $next (i32.lt_u (local.get $out) (local.get $end)))))

  ;; e^x by halving the range at powers of two and a polynomial (Cephes' expf); within two units of the last place
  (func $exp (param $x v128) (result v128)
    (local $n v128) (local $p v128)
    (local.set $x (f32x4.min (f32x4.max (local.get $x) (v128.const f32x4 -87 -87 -87 -87)) (v128.const f32x4 88 88 88 88)))
    (local.set $n (f32x4.nearest (f32x4.mul (local.get $x) (v128.const f32x4 1.44269504 1.44269504 1.44269504 1.44269504))))
    (local.set $x (f32x4.sub (local.get $x) (f32x4.mul (local.get $n) (v128.const f32x4 0.693359375 0.693359375 0.693359375 0.693359375))))
    (local.set $x (f32x4.add (local.get $x) (f32x4.mul (local.get $n) (v128.const f32x4 2.12194440e-4 2.12194440e-4 2.12194440e-4 2.12194440e-4))))
    (local.set $p (v128.const f32x4 1.9875691500e-4 1.9875691500e-4 1.9875691500e-4 1.9875691500e-4))
    (local.set $p (f32x4.add (f32x4.mul (local.get $p) (local.get $x)) (v128.const f32x4 1.3981999507e-3 1.3981999507e-3 1.3981999507e-3 1.3981999507e-3)))
    (local.set $p (f32x4.add (f32x4.mul (local.get $p) (local.get $x)) (v128.const f32x4 8.3334519073e-3 8.3334519073e-3 8.3334519073e-3 8.3334519073e-3)))
    (local.set $p (f32x4.add (f32x4.mul (local.get $p) (local.get $x)) (v128.const f32x4 4.1665795894e-2 4.1665795894e-2 4.1665795894e-2 4.1665795894e-2)))
    (local.set $p (f32x4.add (f32x4.mul (local.get $p) (local.get $x)) (v128.const f32x4 1.6666665459e-1 1.6666665459e-1 1.6666665459e-1 1.6666665459e-1)))
    (local.set $p (f32x4.add (f32x4.mul (local.get $p) (local.get $x)) (v128.const f32x4 5.0000001201e-1 5.0000001201e-1 5.0000001201e-1 5.0000001201e-1)))
    (local.set $p (f32x4.add (f32x4.mul (f32x4.mul (local.get $p) (local.get $x)) (local.get $x)) (local.get $x)))
    (f32x4.mul
      (f32x4.add (local.get $p) (v128.const f32x4 1 1 1 1))
      (i32x4.shl (i32x4.add (i32x4.trunc_sat_f32x4_s (local.get $n)) (v128.const i32x4 127 127 127 127)) (i32.const 23))))

  (func $sigmoid (param $x v128) (result v128)
    (f32x4.div (v128.const f32x4 1 1 1 1)
      (f32x4.add (v128.const f32x4 1 1 1 1) (call $exp (f32x4.neg (local.get $x))))))

  (func $tanh (param $x v128) (result v128)
    (f32x4.sub
      (f32x4.mul (v128.const f32x4 2 2 2 2) (call $sigmoid (f32x4.add (local.get $x) (local.get $x))))
      (v128.const f32x4 1 1 1 1)))

  ;; equations 7 to 11 after the products: gates i, f, g, o and peepholes i, f, o lie `stride` bytes apart; c and h change
  (func (export "cell")
    (param $gates i32) (param $peepholes i32) (param $c i32) (param $h i32) (param $stride i32)
    (local $end i32) (local $cell v128) (local $two i32)
    (local.set $end (i32.add (local.get $c) (local.get $stride)))
    (local.set $two (i32.shl (local.get $stride) (i32.const 1)))
    (loop $next
      (local.set $cell (v128.load (local.get $c)))
      (local.set $cell
        (f32x4.add
          (f32x4.mul (local.get $cell)
            (call $sigmoid (f32x4.add
              (v128.load (i32.add (local.get $gates) (local.get $stride)))
              (f32x4.mul (local.get $cell) (v128.load (i32.add (local.get $peepholes) (local.get $stride)))))))
          (f32x4.mul
            (call $sigmoid (f32x4.add (v128.load (local.get $gates)) (f32x4.mul (local.get $cell) (v128.load (local.get $peepholes)))))
            (call $tanh (v128.load (i32.add (local.get $gates) (local.get $two)))))))
      (v128.store (local.get $c) (local.get $cell))
      (v128.store (local.get $h)
        (f32x4.mul (call $tanh (local.get $cell))
          (call $sigmoid (f32x4.add
            (v128.load (i32.add (local.get $gates) (i32.add (local.get $two) (local.get $stride))))
            (f32x4.mul (local.get $cell) (v128.load (i32.add (local.get $peepholes) (local.get $two))))))))
      (local.set $gates (i32.add (local.get $gates) (i32.const 16)))
      (local.set $peepholes (i32.add (local.get $peepholes) (i32.const 16)))
      (local.set $h (i32.add (local.get $h) (i32.const 16)))
      (local.set $c (i32.add (local.get $c) (i32.const 16)))
      (br_if $next (i32.lt_u (local.get $c) (local.get $end)))))
)
