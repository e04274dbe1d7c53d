//! Typed functions, seen from outside: what they take and give, and how they are called with values from there.

use crate::error::{Error, Result};
use crate::value::Value;
use skein_idl::flyteidl::core::{Literal, LiteralType};
use skein_protocol::Plain;

/// One value on its way in or out.
#[derive(Clone, Debug, PartialEq)]
#[doc(hidden)]
pub enum Given {
    /// As it is.
    Plain(Plain),
    /// As a literal.
    Literal(Box<Literal>),
    /// It was not given.
    Absent,
}

/// In which form results are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(hidden)]
pub enum Form {
    /// As they are.
    Plain,
    /// As literals.
    Literal,
}

/// The inputs of one call, in the order in which the function takes them.
#[doc(hidden)]
pub struct Arguments<'a> {
    names: &'a [String],
    values: &'a mut dyn FnMut(usize) -> Given,
    next: usize,
}

impl<'a> Arguments<'a> {
    pub(crate) fn new(names: &'a [String], values: &'a mut dyn FnMut(usize) -> Given) -> Self {
        Self { names, values, next: 0 }
    }

    /// Takes the next one.
    fn take<T: Value>(&mut self) -> Result<T> {
        let at = self.next;
        self.next += 1;
        let given = (self.values)(at);
        let value = match &given {
            Given::Plain(plain) => T::from_plain(plain.clone()),
            Given::Literal(literal) => T::from_literal(literal),
            Given::Absent => T::absent(),
        };
        value.ok_or_else(|| wrong::<T>(&self.names[at], &given))
    }
}

fn wrong<T: Value>(name: &str, given: &Given) -> Error {
    let mut wanted = crate::describe::literal_type(&T::literal_type());
    if let Some(limits) = T::limits() {
        wanted = format!("{wanted}, {limits}");
    }
    let found = match given {
        Given::Plain(plain) => crate::describe::plain(plain),
        Given::Literal(literal) => crate::describe::literal(literal),
        Given::Absent => {
            return Error::wrong_input(format!("input {name} is missing: it has to be {wanted}"));
        }
    };
    Error::wrong_input(format!("input {name} is {found}, and has to be {wanted}"))
}

/// A function that can be a task: up to eight inputs, each a [`Value`], and [`Outputs`].
#[diagnostic::on_unimplemented(
    message = "this function cannot be a task with these inputs",
    note = "there must be one name for each argument, at most eight, and each argument and result must be a `Value`"
)]
pub trait Function<Args, const N: usize>: Send + Sync + 'static {
    /// Answers the types of its inputs.
    #[doc(hidden)]
    fn inputs() -> [LiteralType; N];

    /// Answers the types of its outputs.
    #[doc(hidden)]
    fn outputs() -> Vec<LiteralType>;

    /// Calls it.
    #[doc(hidden)]
    fn call(&self, arguments: &mut Arguments<'_>, form: Form) -> Result<Vec<Given>>;
}

macro_rules! function {
    ($count:literal $($argument:ident)*) => {
        impl<F, R, $($argument),*> Function<($($argument,)*), $count> for F
        where
            F: Fn($($argument),*) -> R + Send + Sync + 'static,
            R: Outputs,
            $($argument: Value),*
        {
            fn inputs() -> [LiteralType; $count] {
                [$($argument::literal_type()),*]
            }

            fn outputs() -> Vec<LiteralType> {
                R::types()
            }

            fn call(&self, _arguments: &mut Arguments<'_>, form: Form) -> Result<Vec<Given>> {
                // Arguments are taken in the order in which they are written.
                self($(_arguments.take::<$argument>()?),*).give(form)
            }
        }
    };
}

/// What a function gives: nothing, a [`Value`], a tuple of two to six of them, or a [`Result`] of one of these.
pub trait Outputs {
    /// Answers the types.
    #[doc(hidden)]
    fn types() -> Vec<LiteralType>;

    /// Answers the values.
    ///
    /// # Errors
    /// What the function answered.
    #[doc(hidden)]
    fn give(self, form: Form) -> Result<Vec<Given>>;
}

impl Outputs for () {
    fn types() -> Vec<LiteralType> {
        Vec::new()
    }

    fn give(self, _: Form) -> Result<Vec<Given>> {
        Ok(Vec::new())
    }
}

impl<T: Value> Outputs for T {
    fn types() -> Vec<LiteralType> {
        vec![T::literal_type()]
    }

    fn give(self, form: Form) -> Result<Vec<Given>> {
        Ok(vec![given(self, form)])
    }
}

impl<T: Outputs> Outputs for Result<T> {
    fn types() -> Vec<LiteralType> {
        T::types()
    }

    fn give(self, form: Form) -> Result<Vec<Given>> {
        self?.give(form)
    }
}

fn given<T: Value>(value: T, form: Form) -> Given {
    match form {
        Form::Plain => Given::Plain(value.into_plain()),
        Form::Literal => Given::Literal(Box::new(value.into_literal())),
    }
}

macro_rules! outputs {
    ($($part:ident $at:tt)*) => {
        impl<$($part: Value),*> Outputs for ($($part,)*) {
            fn types() -> Vec<LiteralType> {
                vec![$($part::literal_type()),*]
            }

            fn give(self, form: Form) -> Result<Vec<Given>> {
                Ok(vec![$(given(self.$at, form)),*])
            }
        }
    };
}

outputs!(A 0 B 1);
outputs!(A 0 B 1 C 2);
outputs!(A 0 B 1 C 2 D 3);
outputs!(A 0 B 1 C 2 D 3 E 4);
outputs!(A 0 B 1 C 2 D 3 E 4 G 5);

function!(0);
function!(1 A);
function!(2 A B);
function!(3 A B C);
function!(4 A B C D);
function!(5 A B C D E);
function!(6 A B C D E G);
function!(7 A B C D E G H);
function!(8 A B C D E G H I);
