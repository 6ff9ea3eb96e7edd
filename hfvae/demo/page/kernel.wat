;; out[p] = bias + sum over i of in[p][i] * weights[i] for 4 pixels and 8 channels at a time.
;;
;; A 3x3 convolution of an image with channels last and a border of zeros is such a sum over 3 rows of 3 * channels
;; numbers each, which lie side by side in memory; a dense layer is the same with one row. Weights come in blocks of 8
;; output channels: 8 biases, then 8 numbers for each input. All pointers and strides are in bytes.
(module
  (import "page" "memory" (memory 1))
  (func (export "layer")
    (param $in i32) (param $weights i32) (param $out i32) (param $blocks i32)
    (param $lines i32) (param $in_line i32) (param $out_line i32) ;; lines of the image
    (param $pixels i32) (param $in_pixel i32) (param $out_pixel i32) ;; at least 4 in a line
    (param $rows i32) (param $length i32) ;; of the sum
    (local $line i32) (local $pixel i32) (local $row i32) (local $i i32)
    (local $w i32) (local $x0 i32) (local $x1 i32) (local $x2 i32) (local $x3 i32) (local $to i32)
    (local $w0 v128) (local $w1 v128) (local $x v128)
    (local $a0 v128) (local $a1 v128) (local $b0 v128) (local $b1 v128)
    (local $c0 v128) (local $c1 v128) (local $d0 v128) (local $d1 v128)
    (loop $next_block
      (local.set $line (i32.const 0))
      (loop $next_line
        (local.set $pixel (i32.const 0))
        (loop $next_pixels
          (local.set $a0 (v128.load (local.get $weights)))
          (local.set $a1 (v128.load offset=16 (local.get $weights)))
          (local.set $b0 (local.get $a0)) (local.set $b1 (local.get $a1))
          (local.set $c0 (local.get $a0)) (local.set $c1 (local.get $a1))
          (local.set $d0 (local.get $a0)) (local.set $d1 (local.get $a1))
          (local.set $w (i32.add (local.get $weights) (i32.const 32)))
          (local.set $row (i32.const 0))
          (loop $next_row
            (local.set $x0 (i32.add (local.get $in)
              (i32.add (i32.mul (i32.add (local.get $line) (local.get $row)) (local.get $in_line))
                       (i32.mul (local.get $pixel) (local.get $in_pixel)))))
            (local.set $x1 (i32.add (local.get $x0) (local.get $in_pixel)))
            (local.set $x2 (i32.add (local.get $x1) (local.get $in_pixel)))
            (local.set $x3 (i32.add (local.get $x2) (local.get $in_pixel)))
            (local.set $i (local.get $length))
            (loop $next_input
              (local.set $w0 (v128.load (local.get $w)))
              (local.set $w1 (v128.load offset=16 (local.get $w)))
              (local.set $x (v128.load32_splat (local.get $x0)))
              (local.set $a0 (f32x4.add (local.get $a0) (f32x4.mul (local.get $x) (local.get $w0))))
              (local.set $a1 (f32x4.add (local.get $a1) (f32x4.mul (local.get $x) (local.get $w1))))
              (local.set $x (v128.load32_splat (local.get $x1)))
              (local.set $b0 (f32x4.add (local.get $b0) (f32x4.mul (local.get $x) (local.get $w0))))
              (local.set $b1 (f32x4.add (local.get $b1) (f32x4.mul (local.get $x) (local.get $w1))))
              (local.set $x (v128.load32_splat (local.get $x2)))
              (local.set $c0 (f32x4.add (local.get $c0) (f32x4.mul (local.get $x) (local.get $w0))))
              (local.set $c1 (f32x4.add (local.get $c1) (f32x4.mul (local.get $x) (local.get $w1))))
              (local.set $x (v128.load32_splat (local.get $x3)))
              (local.set $d0 (f32x4.add (local.get $d0) (f32x4.mul (local.get $x) (local.get $w0))))
              (local.set $d1 (f32x4.add (local.get $d1) (f32x4.mul (local.get $x) (local.get $w1))))
              (local.set $x0 (i32.add (local.get $x0) (i32.const 4)))
              (local.set $x1 (i32.add (local.get $x1) (i32.const 4)))
              (local.set $x2 (i32.add (local.get $x2) (i32.const 4)))
              (local.set $x3 (i32.add (local.get $x3) (i32.const 4)))
              (local.set $w (i32.add (local.get $w) (i32.const 32)))
              (br_if $next_input (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))
            (br_if $next_row
              (i32.lt_u (local.tee $row (i32.add (local.get $row) (i32.const 1))) (local.get $rows))))
          (local.set $to (i32.add (local.get $out)
            (i32.add (i32.mul (local.get $line) (local.get $out_line)) (i32.mul (local.get $pixel) (local.get $out_pixel)))))
          (v128.store (local.get $to) (local.get $a0))
          (v128.store offset=16 (local.get $to) (local.get $a1))
          (local.set $to (i32.add (local.get $to) (local.get $out_pixel)))
          (v128.store (local.get $to) (local.get $b0))
          (v128.store offset=16 (local.get $to) (local.get $b1))
          (local.set $to (i32.add (local.get $to) (local.get $out_pixel)))
          (v128.store (local.get $to) (local.get $c0))
          (v128.store offset=16 (local.get $to) (local.get $c1))
          (local.set $to (i32.add (local.get $to) (local.get $out_pixel)))
          (v128.store (local.get $to) (local.get $d0))
          (v128.store offset=16 (local.get $to) (local.get $d1))
          ;; the last four pixels of a line may overlap the ones before
          (local.set $pixel (i32.add (local.get $pixel) (i32.const 4)))
          (if (i32.gt_u (local.get $pixel) (i32.sub (local.get $pixels) (i32.const 4)))
            (then (if (i32.lt_u (local.get $pixel) (local.get $pixels))
              (then (local.set $pixel (i32.sub (local.get $pixels) (i32.const 4)))))))
          (br_if $next_pixels (i32.lt_u (local.get $pixel) (local.get $pixels))))
        (br_if $next_line
          (i32.lt_u (local.tee $line (i32.add (local.get $line) (i32.const 1))) (local.get $lines))))
      (local.set $weights (local.get $w)) ;; the next block begins where this one ended
      (local.set $out (i32.add (local.get $out) (i32.const 32)))
      (br_if $next_block (local.tee $blocks (i32.sub (local.get $blocks) (i32.const 1)))))))
