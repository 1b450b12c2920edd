// entry.S - the first instructions of a new uthread, and the end of every unwinding of its stack.
        .text
        .globl  sluice_uthread_entry
        .hidden sluice_uthread_entry
        .type   sluice_uthread_entry, @function
sluice_uthread_entry:
        .cfi_startproc
        .cfi_undefined rip
        xorl    %ebp, %ebp
        movq    %rdx, %rdi
        movq    %rcx, %rsi
        call    sluice_uthread_main
        ud2
        .cfi_endproc
        .size   sluice_uthread_entry, .-sluice_uthread_entry
        .section .note.GNU-stack, "", @progbits
